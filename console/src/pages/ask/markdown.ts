/** Answers as HTML. What a model writes is no page of ours: no HTML of its own, no pictures from anywhere, links that are seen. */
import MarkdownIt from 'markdown-it'

const md = new MarkdownIt({ html: false, linkify: true, breaks: true })
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false })
md.validateLink = (url) => /^(https?:|mailto:)/i.test(url.trim())

const escape = md.utils.escapeHtml
const OUTSIDE = ' target="_blank" rel="noopener noreferrer"'

md.renderer.rules.link_open = (tokens, index) => {
  const href = String(tokens[index]?.attrGet('href') ?? '')
  return `<a href="${escape(href)}"${OUTSIDE}>`
}
// A picture's address would tell a stranger who reads this: it is a link like any other.
md.renderer.rules.image = (tokens, index) => {
  const token = tokens[index]
  const src = String(token?.attrGet('src') ?? '')
  return `<a href="${escape(src)}"${OUTSIDE}>${escape(token?.content || src)}</a>`
}
// Headings of an answer stand below the page's own.
md.renderer.rules.heading_open = () => '<h3>'
md.renderer.rules.heading_close = () => '</h3>\n'
md.renderer.rules.table_open = () => '<div class="wide" tabindex="0"><table>'
md.renderer.rules.table_close = () => '</table></div>\n'

/** `copy` is what the button of a code block says. */
export function render(text: string, copy: string): string {
  const code = (content: string, language: string): string =>
    `<div class="code"><div class="bar"><span>${escape(language)}</span>` +
    `<button type="button" class="copy">${escape(copy)}</button></div>` +
    `<pre tabindex="0"><code>${escape(content)}</code></pre></div>\n`
  md.renderer.rules.fence = (tokens, index) => code(tokens[index]?.content ?? '', tokens[index]?.info.trim().split(/\s/)[0] ?? '')
  md.renderer.rules.code_block = (tokens, index) => code(tokens[index]?.content ?? '', '')
  return md.render(text)
}
