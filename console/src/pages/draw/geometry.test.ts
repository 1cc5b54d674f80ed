import { expect, test } from 'vitest'
import { contour } from './contour'
import { Mask } from './mask'
import { extended, fault, NO_MARGINS, PRESETS, settle, within } from './sizes'
import { Undo } from './undo'
import { fit, pinch, toPicture, toScreen, zoom } from './view'

test('presets are sizes that may be asked for', () => {
  for (const size of Object.values(PRESETS)) expect(fault(size)).toBeNull()
})

test.each([
  [{ width: 1000, height: 1024 }, 'step'],
  [{ width: 48, height: 64 }, 'small'],
  [{ width: 3856, height: 2048 }, 'side'],
  [{ width: 3840, height: 2176 }, 'area'],
  [{ width: 2048, height: 512 }, 'long'],
  [{ width: 3840, height: 2160 }, null],
] as const)('%o is %s', (size, expected) => {
  expect(fault(size)).toBe(expected)
})

test('a canvas grows to a multiple of 16 on the side that grows more', () => {
  const size = { width: 1000, height: 1024 }
  const margins = settle(size, { left: 0, top: 100, right: 200.4, bottom: 0 })
  expect(margins).toEqual({ left: 0, top: 112, right: 200, bottom: 0 })
  expect(fault(extended(size, margins))).toBeNull()
  expect(settle({ width: 1024, height: 1024 }, NO_MARGINS)).toEqual(NO_MARGINS)
  expect(settle({ width: 1024, height: 1024 }, { ...NO_MARGINS, left: Number.NaN, right: -5 })).toEqual(NO_MARGINS)
})

test('a large photograph is made smaller in its own shape', () => {
  expect(within({ width: 4000, height: 3000 })).toEqual({ width: 2048, height: 1536 })
  expect(within({ width: 640, height: 480 })).toEqual({ width: 640, height: 480 })
})

test('a point of the screen is one of the picture, at any zoom', () => {
  let view = fit({ width: 1024, height: 1024 }, { width: 700, height: 500 })
  expect(view.scale).toBeCloseTo(452 / 1024)
  const at = { x: 321, y: 123 }
  const held = toPicture(view, at)
  view = zoom(view, at, 3)
  expect(toPicture(view, at).x).toBeCloseTo(held.x)
  const back = toScreen(view, toPicture(view, { x: 5, y: 6 }))
  expect([back.x, back.y]).toEqual([expect.closeTo(5), expect.closeTo(6)])
  expect(zoom(view, at, 1e9).scale).toBe(32)
})

test('an extended canvas fits whole, its new first corner in sight', () => {
  const view = fit({ width: 2048, height: 1024 }, { width: 1000, height: 1000 }, 0, { x: -1024, y: 0 })
  expect(toScreen(view, { x: -1024, y: 0 }).x).toBeCloseTo(0)
})

test('two fingers hold what they touch', () => {
  const view = { scale: 1, x: 0, y: 0 }
  const moved = pinch(view, [{ x: 0, y: 0 }, { x: 10, y: 0 }], [{ x: 5, y: 5 }, { x: 25, y: 5 }])
  expect(toScreen(moved, { x: 0, y: 0 })).toEqual({ x: 5, y: 5 })
  expect(toScreen(moved, { x: 10, y: 0 })).toEqual({ x: 25, y: 5 })
})

test('the edge of a mask is closed lines with corners only where it turns', () => {
  const mask = new Mask(6, 6)
  mask.rectangle({ left: 1, top: 1, right: 5, bottom: 5 }, 1)
  expect(contour(mask)).toEqual([[{ x: 1, y: 1 }, { x: 5, y: 1 }, { x: 5, y: 5 }, { x: 1, y: 5 }]])
  mask.rectangle({ left: 2, top: 2, right: 4, bottom: 4 }, 0)
  expect(contour(mask).map((loop) => loop.length)).toEqual([4, 4])
})

test('pixels that touch in a corner have an edge each', () => {
  const mask = new Mask(4, 4)
  mask.rectangle({ left: 0, top: 0, right: 2, bottom: 2 }, 1)
  mask.rectangle({ left: 2, top: 2, right: 4, bottom: 4 }, 1)
  expect(contour(mask).map((loop) => loop.length)).toEqual([4, 4])
  expect(contour(new Mask(4, 4))).toEqual([])
})

test('undo and redo, until something new is done', () => {
  const undo = new Undo(0, 3)
  for (const state of [1, 2, 3, 4]) undo.put(state)
  expect([undo.undo(), undo.undo(), undo.undo(), undo.undo()]).toEqual([3, 2, 1, 1])
  expect([undo.canUndo, undo.canRedo]).toEqual([false, true])
  expect(undo.redo()).toBe(2)
  undo.put(9)
  expect([undo.redo(), undo.canRedo, undo.undo()]).toEqual([9, false, 2])
})
