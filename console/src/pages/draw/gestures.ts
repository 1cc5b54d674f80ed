/** Mouse, pen and fingers on the canvas: one paints, selects or drags, two look nearer and move. */
import { ref, shallowRef } from 'vue'
import type { Editor } from './editor'
import type { Box, Point } from './mask'
import { extended, type Margins } from './sizes'
import { pan, pinch, toPicture, toScreen, zoom } from './view'

type Side = keyof Margins
type Act =
  | { kind: 'pan' }
  | { kind: 'stroke'; at: Point }
  | { kind: 'rectangle'; from: Point }
  | { kind: 'lasso' }
  | { kind: 'split' }
  | { kind: 'grow'; sides: Side[]; from: Point; before: Margins }

export function useGestures(editor: Editor, element: () => HTMLElement | null) {
  const fingers = new Map<number, Point>()
  let act: Act | null = null
  let takes = false
  const spaced = ref(false)
  /** What is being drawn and not selected yet: the corners of a rectangle, or the line of a lasso; in picture pixels. */
  const shape = shallowRef<Point[]>([])
  const hover = shallowRef<Point | null>(null)

  function place(event: PointerEvent | WheelEvent): Point {
    const box = (element() as HTMLElement).getBoundingClientRect()
    return { x: event.clientX - box.left, y: event.clientY - box.top }
  }

  function sidesAt(at: Point, reach: number): Side[] {
    const { left, top } = editor.margins.value
    const whole = extended(editor.size.value, editor.margins.value)
    const first = toScreen(editor.view.value, { x: -left, y: -top })
    const last = toScreen(editor.view.value, { x: whole.width - left, y: whole.height - top })
    const found: Side[] = []
    const within = (value: number, from: number, to: number): boolean => value > from - reach && value < to + reach
    if (within(at.y, first.y, last.y)) {
      if (Math.abs(at.x - first.x) < reach) found.push('left')
      else if (Math.abs(at.x - last.x) < reach) found.push('right')
    }
    if (within(at.x, first.x, last.x)) {
      if (Math.abs(at.y - first.y) < reach) found.push('top')
      else if (Math.abs(at.y - last.y) < reach) found.push('bottom')
    }
    return found
  }

  function begin(event: PointerEvent, at: Point): Act {
    const mode = editor.mode.value
    if (event.button === 1 || spaced.value || mode === 'look') return { kind: 'pan' }
    if (mode === 'compare') return { kind: 'split' }
    if (mode === 'extend') {
      const sides = sidesAt(at, event.pointerType === 'mouse' ? 14 : 26)
      return sides.length ? { kind: 'grow', sides, from: at, before: editor.margins.value } : { kind: 'pan' }
    }
    const spot = toPicture(editor.view.value, at)
    takes = event.altKey
    switch (editor.tool.value) {
      case 'hand':
        return { kind: 'pan' }
      case 'rectangle':
        shape.value = [spot, spot]
        return { kind: 'rectangle', from: spot }
      case 'lasso':
        shape.value = [spot]
        return { kind: 'lasso' }
      default:
        editor.stroke(spot, spot)
        return { kind: 'stroke', at: spot }
    }
  }

  function down(event: PointerEvent): void {
    if (event.button > 1) return
    const at = place(event)
    element()?.setPointerCapture(event.pointerId)
    fingers.set(event.pointerId, at)
    if (fingers.size === 1) {
      act = begin(event, at)
      follow(at)
    } else if (fingers.size === 2 && act && act.kind !== 'pan') {
      if (act.kind === 'stroke') editor.revert()
      shape.value = []
      act = { kind: 'pan' }
    }
  }

  function follow(at: Point): void {
    if (act?.kind === 'split') editor.split.value = Math.min(1, Math.max(0, toPicture(editor.view.value, at).x / editor.size.value.width))
  }

  function move(event: PointerEvent): void {
    const before = fingers.get(event.pointerId)
    hover.value = event.pointerType === 'touch' ? null : place(event)
    if (!before || !act) return
    const at = place(event)
    const others = [...fingers].filter(([id]) => id !== event.pointerId)
    const other = others[0]?.[1]
    fingers.set(event.pointerId, at)
    if (other) {
      editor.view.value = pinch(editor.view.value, [before, other], [at, other])
      return
    }
    const spot = toPicture(editor.view.value, at)
    if (act.kind === 'pan') editor.view.value = pan(editor.view.value, at.x - before.x, at.y - before.y)
    else if (act.kind === 'stroke') paint(event, act)
    else if (act.kind === 'rectangle') shape.value = [act.from, spot]
    else if (act.kind === 'lasso') shape.value = [...shape.value, spot]
    else if (act.kind === 'grow') drag(act, at)
    else follow(at)
  }

  /** A fast pen moves several times between two frames: all of it is drawn. */
  function paint(event: PointerEvent, stroke: { at: Point }): void {
    const events = event.getCoalescedEvents?.() ?? []
    for (const each of events.length ? events : [event]) {
      const spot = toPicture(editor.view.value, place(each))
      editor.stroke(stroke.at, spot)
      stroke.at = spot
    }
  }

  function drag(grow: { sides: Side[]; from: Point; before: Margins }, at: Point): void {
    const dx = (at.x - grow.from.x) / editor.view.value.scale
    const dy = (at.y - grow.from.y) / editor.view.value.scale
    const next = { ...grow.before }
    const by: Margins = { left: -dx, right: dx, top: -dy, bottom: dy }
    for (const side of grow.sides) next[side] = Math.max(0, Math.round((grow.before[side] + by[side]) / 16) * 16)
    editor.grow(next)
  }

  function up(event: PointerEvent): void {
    if (!fingers.delete(event.pointerId) || fingers.size) return
    const done = act
    act = null
    const points = shape.value
    shape.value = []
    if (done?.kind === 'stroke') editor.commit()
    if (done?.kind === 'rectangle' && points.length === 2) {
      const box = boxOf(points as [Point, Point])
      if (box.right > box.left && box.bottom > box.top) editor.rectangle(box, takes ? 0 : 1)
    }
    if (done?.kind === 'lasso' && points.length > 2) editor.lasso(points, takes ? 0 : 1)
    if (done?.kind === 'grow') editor.refit()
  }

  function cancel(event: PointerEvent): void {
    if (act?.kind === 'stroke') editor.revert()
    shape.value = []
    act = null
    fingers.delete(event.pointerId)
  }

  function wheel(event: WheelEvent): void {
    if (event.shiftKey) editor.view.value = pan(editor.view.value, -event.deltaY, 0)
    else editor.view.value = zoom(editor.view.value, place(event), Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)))
  }

  const leave = (): void => {
    hover.value = null
  }

  return { down, move, up, cancel, wheel, leave, sidesAt, shape, hover, spaced }
}

/** The whole pixels between two corners, whichever way it was drawn. */
export function boxOf([one, other]: readonly [Point, Point]): Box {
  return {
    left: Math.round(Math.min(one.x, other.x)),
    top: Math.round(Math.min(one.y, other.y)),
    right: Math.round(Math.max(one.x, other.x)),
    bottom: Math.round(Math.max(one.y, other.y)),
  }
}
