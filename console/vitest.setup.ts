/** What modules of a page touch when they are imported, where there is no page. */
const kept = new Map<string, string>()
const nothing = (): undefined => undefined

Object.assign(globalThis, {
  localStorage: { getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, value: string) => kept.set(name, value) },
  document: { documentElement: { dataset: {} }, createElement: () => ({}), createElementNS: () => ({}) },
  matchMedia: () => ({ matches: false, addEventListener: nothing }),
})
