/** What the pages say, in Chinese and in English: each page has a table of its own, and both languages in every entry. */
import { computed, ref, watchEffect } from 'vue'

export type Language = 'zh' | 'en'
/** One text in both languages; `{0}`, `{1}` … stand for what is filled in. */
export type Pair = readonly [zh: string, en: string]

const KEPT = 'sampan.language'

function first(): Language {
  const kept = localStorage.getItem(KEPT)
  if (kept === 'zh' || kept === 'en') return kept
  return navigator.languages.some((each) => each.toLowerCase().startsWith('zh')) || !navigator.language ? 'zh' : 'en'
}

export const language = ref<Language>(first())

watchEffect(() => {
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en'
})

export function speak(next: Language): void {
  language.value = next
  localStorage.setItem(KEPT, next)
}

export const locale = computed(() => (language.value === 'zh' ? 'zh-CN' : 'en-GB'))

/** The text of one pair in the language of the moment; reactive where it is used in a template. */
export function say(pair: Pair, ...filled: readonly (string | number)[]): string {
  const text = pair[language.value === 'zh' ? 0 : 1]
  return text.replace(/\{(\d)\}/g, (whole, index: string) => String(filled[Number(index)] ?? whole))
}

/** `const t = talk(WORDS)`, then `t('send')`: a name that the table does not have is a type error. */
export function talk<Name extends string>(words: Record<Name, Pair>) {
  return (name: Name, ...filled: readonly (string | number)[]): string => say(words[name], ...filled)
}
