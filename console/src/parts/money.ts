/** Money as people read it: small sums keep the first two digits that say something. */
import { language, locale } from '../shell/words'

export function money(value: number, currency: string): string {
  const digits = value && Math.abs(value) < 0.1 ? Math.min(6, 1 - Math.floor(Math.log10(Math.abs(value)))) : 2
  const shown = { minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, digits) }
  // What is no code of ISO 4217 (a house may count in points) stands behind the number as it is.
  if (!/^[A-Za-z]{3}$/.test(currency)) return `${new Intl.NumberFormat(locale.value, shown).format(value)} ${currency}`.trim()
  const currencyDisplay = language.value === 'zh' ? 'narrowSymbol' : 'code'
  return new Intl.NumberFormat(locale.value, { style: 'currency', currency, currencyDisplay, ...shown }).format(value)
}
