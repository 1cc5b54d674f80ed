/** What is selected on the picture and how the canvas looks at it: the state that tools, canvas and settings share. */
import { computed, ref, shallowRef } from 'vue'
import { type Box, join, Mask, NOWHERE, pack, type Point, unpack } from './mask'
import { type Margins, NO_MARGINS, settle, type Size } from './sizes'
import { Undo } from './undo'
import { fit, type View, zoom } from './view'

export type Tool = 'hand' | 'brush' | 'rectangle' | 'lasso' | 'eraser'
export type Mode = 'select' | 'extend' | 'compare' | 'look'

export type Editor = ReturnType<typeof createEditor>

export function createEditor() {
  const tool = ref<Tool>('brush')
  const breadth = ref(64)
  const mode = ref<Mode>('look')
  const margins = ref<Margins>(NO_MARGINS)
  const split = ref(0.5)
  const size = ref<Size>({ width: 0, height: 0 })
  const view = ref<View>({ scale: 1, x: 0, y: 0 })
  const room = ref<Size>({ width: 1, height: 1 })
  const mask = shallowRef(new Mask(0, 0))
  const measured = ref({ count: 0, box: NOWHERE })
  const canUndo = ref(false)
  const canRedo = ref(false)
  /** Goes up with every change, so that the canvas looks again; `settled` only when a stroke has ended. */
  const changes = ref(0)
  const settled = ref(0)
  let undos = new Undo<Uint32Array>(new Uint32Array())
  let dirty: Box = NOWHERE
  const share = computed(() => measured.value.count / Math.max(1, size.value.width * size.value.height))

  /** A fresh mask for a picture of this size. */
  function open(next: Size): void {
    size.value = next
    mask.value = new Mask(next.width, next.height)
    undos = new Undo<Uint32Array>(pack(mask.value))
    margins.value = NO_MARGINS
    split.value = 0.5
    breadth.value = Math.max(2, Math.round(Math.max(next.width, next.height) / 16))
    show(mask.value.whole)
    measure()
    refit()
  }

  function show(box: Box): void {
    dirty = join(dirty, box)
    changes.value += 1
  }

  function measure(): void {
    measured.value = mask.value.measure()
    canUndo.value = undos.canUndo
    canRedo.value = undos.canRedo
    settled.value += 1
  }

  /** Ends what was drawn on the mask: one step to undo. */
  function commit(): void {
    undos.put(pack(mask.value))
    measure()
  }

  function load(runs: Uint32Array): void {
    mask.value = unpack(runs, size.value.width, size.value.height)
    show(mask.value.whole)
    measure()
  }

  /** What was drawn since the last step is taken back: a second finger came, and it was no stroke. */
  const revert = (): void => load(undos.now)

  function stroke(from: Point, to: Point): void {
    show(mask.value.stroke(from, to, breadth.value / 2, tool.value === 'eraser' ? 0 : 1))
  }

  function rectangle(box: Box, value: 0 | 1 = 1): void {
    show(mask.value.rectangle(box, value))
    commit()
  }

  function lasso(points: readonly Point[], value: 0 | 1 = 1): void {
    show(mask.value.polygon(points, value))
    commit()
  }

  function invert(): void {
    show(mask.value.invert())
    commit()
  }

  function clear(): void {
    if (!measured.value.count) return
    show(mask.value.fill(0))
    commit()
  }

  /** The box in which the picture of the mask is out of date; asked once a frame. */
  function taken(): Box {
    const box = dirty
    dirty = NOWHERE
    return box
  }

  function grow(next: Margins): void {
    margins.value = settle(size.value, next)
  }

  function refit(): void {
    const { left, top, right, bottom } = mode.value === 'extend' ? margins.value : NO_MARGINS
    const area = { width: size.value.width + left + right, height: size.value.height + top + bottom }
    if (area.width) view.value = fit(area, room.value, room.value.width < 500 ? 12 : 28, { x: -left, y: -top })
  }

  function nearer(factor: number): void {
    view.value = zoom(view.value, { x: room.value.width / 2, y: room.value.height / 2 }, factor)
  }

  return {
    tool, breadth, mode, margins, split, size, view, room, mask, measured, share, canUndo, canRedo, changes, settled,
    open, commit, revert, stroke, rectangle, lasso, invert, clear, taken, grow, refit, nearer,
    undo: () => load(undos.undo()),
    redo: () => load(undos.redo()),
  }
}
