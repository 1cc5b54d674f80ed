import { expect, test } from 'vitest'
import { isEmpty, join, Mask, maskPixels, NOWHERE, outside, pack, unpack } from './mask'

const count = (mask: Mask): number => mask.measure().count
const rows = (mask: Mask): string[] =>
  Array.from({ length: mask.height }, (_, y) => [...mask.data.subarray(y * mask.width, (y + 1) * mask.width)].join(''))

test('a dab hits the pixels whose middle is within its radius', () => {
  const mask = new Mask(5, 5)
  mask.stroke({ x: 2.5, y: 2.5 }, { x: 2.5, y: 2.5 }, 1, 1)
  expect(rows(mask)).toEqual(['00000', '00100', '01110', '00100', '00000'])
})

test('a stroke has no gaps, and erasing takes it away', () => {
  const mask = new Mask(40, 10)
  mask.stroke({ x: 5, y: 5 }, { x: 35, y: 5 }, 2, 1)
  expect(rows(mask)[4]?.slice(5, 35)).toBe('1'.repeat(30))
  mask.stroke({ x: 0, y: 5 }, { x: 40, y: 5 }, 4, 0)
  expect(count(mask)).toBe(0)
})

test('shapes are cut off at the edges', () => {
  const mask = new Mask(8, 8)
  mask.stroke({ x: -1, y: -1 }, { x: 9, y: -1 }, 2, 1)
  mask.rectangle({ left: 4, top: 6, right: 99, bottom: 99 }, 1)
  expect(mask.measure().box).toEqual({ left: 0, top: 0, right: 8, bottom: 8 })
  expect(mask.rectangle({ left: 9, top: 9, right: 12, bottom: 12 }, 1)).toSatisfy(isEmpty)
})

test('a rectangle is exact', () => {
  const mask = new Mask(10, 10)
  mask.rectangle({ left: 0, top: 0, right: 5, bottom: 10 }, 1)
  expect(mask.measure()).toEqual({ count: 50, box: { left: 0, top: 0, right: 5, bottom: 10 } })
  mask.invert()
  expect(mask.measure().box).toEqual({ left: 5, top: 0, right: 10, bottom: 10 })
})

test('a lasso holds what it goes around', () => {
  const mask = new Mask(10, 10)
  mask.polygon([{ x: 1, y: 1 }, { x: 9, y: 1 }, { x: 9, y: 9 }, { x: 1, y: 9 }], 1)
  expect(mask.measure()).toEqual({ count: 64, box: { left: 1, top: 1, right: 9, bottom: 9 } })
  mask.polygon([{ x: 0, y: 0 }, { x: 10, y: 0 }, { x: 0, y: 10 }], 0)
  expect(rows(mask)[9 - 1]).toBe('0111111110')
  expect(mask.polygon([{ x: 0, y: 0 }, { x: 5, y: 5 }], 1)).toBe(NOWHERE)
})

test('a mask and its runs are the same', () => {
  const mask = new Mask(7, 5)
  for (const value of [0, 1] as const) {
    mask.fill(value)
    expect([...unpack(pack(mask), 7, 5).data]).toEqual([...mask.data])
  }
  mask.stroke({ x: 3, y: 2 }, { x: 5, y: 4 }, 1.2, 0)
  expect([...unpack(pack(mask), 7, 5).data]).toEqual([...mask.data])
  expect(pack(new Mask(1000, 1000)).length).toBe(1)
})

test('on the wire alpha 0 is drawn anew', () => {
  const mask = new Mask(2, 1)
  mask.rectangle({ left: 1, top: 0, right: 2, bottom: 1 }, 1)
  expect([...maskPixels(mask)]).toEqual([0, 0, 0, 255, 0, 0, 0, 0])
})

test('what changed outside is counted, what changed inside is not', () => {
  const mask = new Mask(3, 1)
  mask.rectangle({ left: 2, top: 0, right: 3, bottom: 1 }, 1)
  const before = Uint8ClampedArray.from([1, 1, 1, 255, 2, 2, 2, 255, 3, 3, 3, 255])
  const after = Uint8ClampedArray.from([1, 1, 1, 255, 2, 2, 9, 255, 9, 9, 9, 255])
  expect(outside(mask, before, before)).toEqual({ pixels: 2, changed: 0 })
  expect(outside(mask, before, after)).toEqual({ pixels: 2, changed: 1 })
})

test('boxes join', () => {
  const one = { left: 1, top: 2, right: 3, bottom: 4 }
  expect(join(one, NOWHERE)).toEqual(one)
  expect(join(NOWHERE, one)).toEqual(one)
  expect(join(one, { left: 0, top: 3, right: 2, bottom: 9 })).toEqual({ left: 0, top: 2, right: 3, bottom: 9 })
})
