/** What the settings hold, and the orders that become of them. */
import { reactive } from 'vue'
import type { Easel } from './pictures'
import { fault, name, PRESETS, type Preset, type Size } from './sizes'
import type { Node } from './tree'

export type Task = 'create' | 'edit' | 'extend' | 'vary'

export interface Wishes {
  task: Task
  create: string
  edit: string
  extend: string
  negative: string
  shape: Preset | 'custom'
  custom: Size
  count: number
  quality: '' | 'low' | 'medium' | 'high'
  seed: number | ''
  locked: boolean
  model: string
}

export const LARGEST_SEED = 2 ** 32

export function createWishes(): Wishes {
  return reactive<Wishes>({
    task: 'create',
    create: '',
    edit: '',
    extend: '',
    negative: '',
    shape: 'square',
    custom: { width: 1024, height: 1024 },
    count: 1,
    quality: '',
    seed: '',
    locked: false,
    model: '',
  })
}

export const sizeOf = (wishes: Wishes): Size => (wishes.shape === 'custom' ? wishes.custom : PRESETS[wishes.shape])

export const words = (wishes: Wishes): string => (wishes.task === 'vary' ? '' : wishes[wishes.task].trim())

/** What is the matter with the seed, the size or the words, in order of the form; null where all can be sent. */
export function obstacle(wishes: Wishes): 'prompt' | 'size' | null {
  if (wishes.task !== 'vary' && !words(wishes)) return 'prompt'
  return wishes.task === 'create' && fault(sizeOf(wishes)) ? 'size' : null
}

export function dice(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number
}

/** The seed of each of several pictures: those after the first follow it. Nothing where the model takes none. */
export function seeds(wishes: Wishes, easel: Easel | undefined, count: number): (number | undefined)[] {
  const first = wishes.seed === '' || !easel?.seeds ? undefined : wishes.seed
  return Array.from({ length: count }, (_, index) => (first === undefined ? undefined : (first + index) % LARGEST_SEED))
}

/** Fills in what a picture was made with. */
export function reuse(wishes: Wishes, node: Node): void {
  const task = ({ create: 'create', redraw: 'edit', instruct: 'edit', extend: 'extend', vary: 'vary', upload: 'create' } as const)[node.operation]
  wishes.task = task
  if (task !== 'vary') wishes[task] = node.prompt
  wishes.negative = node.negative ?? ''
  wishes.quality = (['low', 'medium', 'high'] as const).find((each) => each === node.quality) ?? ''
  wishes.model = node.model ?? ''
  wishes.seed = node.seed ?? ''
  if (task !== 'create') return
  const preset = (Object.keys(PRESETS) as Preset[]).find((each) => name(PRESETS[each]) === node.size)
  wishes.shape = preset ?? 'custom'
  if (!preset) wishes.custom = { width: node.width, height: node.height }
}
