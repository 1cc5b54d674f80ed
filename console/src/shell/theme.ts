/** Light and dark: as the system has it until the person says otherwise. */
import { darkTheme, type GlobalThemeOverrides } from 'naive-ui'
import { computed, ref, watchEffect } from 'vue'

export type Scheme = 'system' | 'light' | 'dark'

const KEPT = 'sampan.scheme'
const asks = matchMedia('(prefers-color-scheme: dark)')
const system = ref(asks.matches)
asks.addEventListener('change', (event) => {
  system.value = event.matches
})

const kept = localStorage.getItem(KEPT)
export const scheme = ref<Scheme>(kept === 'light' || kept === 'dark' ? kept : 'system')
export const dark = computed(() => (scheme.value === 'system' ? system.value : scheme.value === 'dark'))
export const theme = computed(() => (dark.value ? darkTheme : null))

export function shine(next: Scheme): void {
  scheme.value = next
  localStorage.setItem(KEPT, next)
}

watchEffect(() => {
  document.documentElement.dataset.scheme = dark.value ? 'dark' : 'light'
})

const FONTS =
  'system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif'

// Every pair of text and ground here has a contrast of 4.5 or more (WCAG 2.2, 1.4.3): Naive's own greys and greens have less.
const LIGHT: GlobalThemeOverrides = {
  common: {
    fontFamily: FONTS,
    borderRadius: '8px',
    primaryColor: '#0b6478',
    primaryColorHover: '#0d7890',
    primaryColorPressed: '#084c5b',
    primaryColorSuppl: '#0d7890',
    infoColor: '#1f5fbf',
    infoColorHover: '#2a6fd4',
    successColor: '#16703f',
    successColorHover: '#1b8049',
    warningColor: '#8a5300',
    warningColorHover: '#9c5f00',
    errorColor: '#b3261e',
    errorColorHover: '#c43a32',
    errorColorPressed: '#8f1d17',
    bodyColor: '#f4f7f8',
    textColor1: '#12232a',
    textColor2: '#22343b',
    textColor3: '#55656c',
    placeholderColor: '#64747b',
    textColorDisabled: '#6b7980',
  },
}
const DARK: GlobalThemeOverrides = {
  common: {
    fontFamily: FONTS,
    borderRadius: '8px',
    primaryColor: '#6cc5d8',
    primaryColorHover: '#8bd5e5',
    primaryColorPressed: '#4fb0c5',
    primaryColorSuppl: '#6cc5d8',
    infoColor: '#8ab4f8',
    successColor: '#6fd39b',
    warningColor: '#f0b45a',
    errorColor: '#f48f87',
    errorColorHover: '#f8a8a2',
    errorColorPressed: '#e0766e',
    bodyColor: '#0f171a',
    cardColor: '#172226',
    modalColor: '#1b282d',
    popoverColor: '#22323a',
    tableColor: '#172226',
    textColor1: '#eef5f7',
    textColor2: '#d5e0e4',
    textColor3: '#a3b3b9',
    placeholderColor: '#93a4ab',
    textColorDisabled: '#8b9ba2',
  },
}
export const overrides = computed(() => (dark.value ? DARK : LIGHT))
