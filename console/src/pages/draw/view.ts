/** How a picture lies on the screen: `screen = picture * scale + offset`, in CSS pixels of the canvas. */
import type { Point } from './mask'
import type { Size } from './sizes'

export interface View {
  scale: number
  x: number
  y: number
}

const LEAST = 0.02
const MOST = 32
const clamp = (scale: number): number => Math.min(MOST, Math.max(LEAST, scale))

export const toPicture = (view: View, at: Point): Point => ({ x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale })
export const toScreen = (view: View, at: Point): Point => ({ x: at.x * view.scale + view.x, y: at.y * view.scale + view.y })

/** All of an area in the middle of the room, never larger than 1:1 unless it is tiny. `from` is its first corner. */
export function fit(area: Size, room: Size, margin = 24, from: Point = { x: 0, y: 0 }): View {
  const wide = Math.max(1, room.width - 2 * margin)
  const high = Math.max(1, room.height - 2 * margin)
  const most = Math.max(area.width, area.height) < 256 ? 8 : 1
  const scale = clamp(Math.min(most, wide / area.width, high / area.height))
  return {
    scale,
    x: (room.width - area.width * scale) / 2 - from.x * scale,
    y: (room.height - area.height * scale) / 2 - from.y * scale,
  }
}

/** Nearer or farther, with what is under `at` staying there. */
export function zoom(view: View, at: Point, factor: number): View {
  const scale = clamp(view.scale * factor)
  const held = toPicture(view, at)
  return { scale, x: at.x - held.x * scale, y: at.y - held.y * scale }
}

export const pan = (view: View, dx: number, dy: number): View => ({ ...view, x: view.x + dx, y: view.y + dy })

/** Two fingers: what was under each stays under it. */
export function pinch(view: View, before: readonly [Point, Point], after: readonly [Point, Point]): View {
  const gap = ([a, b]: readonly [Point, Point]): number => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y))
  const middle = ([a, b]: readonly [Point, Point]): Point => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 })
  const was = middle(before)
  const is = middle(after)
  return pan(zoom(view, was, gap(after) / gap(before)), is.x - was.x, is.y - was.y)
}
