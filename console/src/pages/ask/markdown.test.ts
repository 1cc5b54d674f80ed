import { describe, expect, it } from 'vitest'
import { render } from './markdown'

describe('render', () => {
  it('shows no HTML of a model, and runs nothing', () => {
    expect(render('<script>alert(1)</script>', 'Copy')).not.toContain('<script')
    expect(render('[x](javascript:alert(1)) [y](data:text/html,a)', 'Copy')).not.toContain('href')
    expect(render('<img src=x onerror=alert(1)>', 'Copy')).not.toContain('<img')
  })
  it('opens links elsewhere, and asks nobody for pictures', () => {
    expect(render('[a](https://example.com/?a=1&b="2)', 'Copy')).toContain('target="_blank" rel="noopener noreferrer"')
    const picture = render('![chart](https://example.com/a.png)', 'Copy')
    expect(picture).toContain('<a href="https://example.com/a.png"')
    expect(picture).not.toContain('<img')
  })
  it('gives code a button, and keeps it as it is', () => {
    const made = render('```py <x>\nif a < b: "c"\n```', '复制')
    expect(made).toContain('<button type="button" class="copy">复制</button>')
    expect(made).toContain('if a &lt; b: &quot;c&quot;')
    expect(made).toContain('<span>py</span>')
  })
  it('makes tables that can be scrolled by keys', () => {
    expect(render('| a |\n| - |\n| 1 |', 'Copy')).toContain('<div class="wide" tabindex="0"><table>')
  })
})
