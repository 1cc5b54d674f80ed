/** Which pixels of a picture are to be drawn anew: one byte for each, at the picture's own size, whatever is on the screen. */
export interface Point {
  x: number
  y: number
}

/** Pixels from `left`, `top` to before `right`, `bottom`. */
export interface Box {
  left: number
  top: number
  right: number
  bottom: number
}

export const NOWHERE: Box = { left: 0, top: 0, right: 0, bottom: 0 }

export const isEmpty = (box: Box): boolean => box.right <= box.left || box.bottom <= box.top

export function join(one: Box, other: Box): Box {
  if (isEmpty(one)) return other
  if (isEmpty(other)) return one
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  }
}

/** Drawing methods return the box in which pixels may have changed. A pixel is hit where its middle is. */
export class Mask {
  readonly data: Uint8Array

  constructor(
    readonly width: number,
    readonly height: number,
    data?: Uint8Array,
  ) {
    this.data = data ?? new Uint8Array(width * height)
  }

  get whole(): Box {
    return { left: 0, top: 0, right: this.width, bottom: this.height }
  }

  /** A round brush drawn from one point to another; the same point twice is a dab. */
  stroke(from: Point, to: Point, radius: number, value: 0 | 1): Box {
    const box = this.cut({
      left: Math.floor(Math.min(from.x, to.x) - radius),
      top: Math.floor(Math.min(from.y, to.y) - radius),
      right: Math.ceil(Math.max(from.x, to.x) + radius) + 1,
      bottom: Math.ceil(Math.max(from.y, to.y) + radius) + 1,
    })
    const dx = to.x - from.x
    const dy = to.y - from.y
    const length = dx * dx + dy * dy
    for (let y = box.top; y < box.bottom; y += 1) {
      for (let x = box.left; x < box.right; x += 1) {
        const px = x + 0.5 - from.x
        const py = y + 0.5 - from.y
        const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0
        const ex = px - along * dx
        const ey = py - along * dy
        if (ex * ex + ey * ey <= radius * radius) this.data[y * this.width + x] = value
      }
    }
    return box
  }

  rectangle(box: Box, value: 0 | 1): Box {
    const cut = this.cut(box)
    for (let y = cut.top; y < cut.bottom; y += 1) {
      this.data.fill(value, y * this.width + cut.left, y * this.width + Math.max(cut.left, cut.right))
    }
    return cut
  }

  /** What a closed line goes around; where it crosses itself, what it goes around an odd number of times. */
  polygon(points: readonly Point[], value: 0 | 1): Box {
    if (points.length < 3) return NOWHERE
    const ys = points.map((point) => point.y)
    const xs = points.map((point) => point.x)
    const box = this.cut({
      left: Math.floor(Math.min(...xs)),
      top: Math.floor(Math.min(...ys)),
      right: Math.ceil(Math.max(...xs)),
      bottom: Math.ceil(Math.max(...ys)),
    })
    for (let y = box.top; y < box.bottom; y += 1) {
      const middle = y + 0.5
      const crossed: number[] = []
      points.forEach((a, index) => {
        const b = points[(index + 1) % points.length] as Point
        if (a.y <= middle !== b.y <= middle) crossed.push(a.x + ((middle - a.y) / (b.y - a.y)) * (b.x - a.x))
      })
      crossed.sort((one, other) => one - other)
      for (let index = 0; index + 1 < crossed.length; index += 2) {
        const from = Math.max(0, Math.ceil((crossed[index] as number) - 0.5))
        const to = Math.min(this.width, Math.ceil((crossed[index + 1] as number) - 0.5))
        if (to > from) this.data.fill(value, y * this.width + from, y * this.width + to)
      }
    }
    return box
  }

  fill(value: 0 | 1): Box {
    this.data.fill(value)
    return this.whole
  }

  invert(): Box {
    for (let index = 0; index < this.data.length; index += 1) this.data[index] = this.data[index] ? 0 : 1
    return this.whole
  }

  /** How many pixels are selected, and the smallest box around them. */
  measure(): { count: number; box: Box } {
    let count = 0
    let box = NOWHERE
    for (let y = 0; y < this.height; y += 1) {
      const begin = y * this.width
      const row = this.data.subarray(begin, begin + this.width)
      const left = row.indexOf(1)
      if (left < 0) continue
      const right = row.lastIndexOf(1) + 1
      for (let x = left; x < right; x += 1) count += row[x] as number
      box = join(box, { left, top: y, right, bottom: y + 1 })
    }
    return { count, box }
  }

  private cut(box: Box): Box {
    return {
      left: Math.max(0, Math.min(this.width, box.left)),
      top: Math.max(0, Math.min(this.height, box.top)),
      right: Math.max(0, Math.min(this.width, box.right)),
      bottom: Math.max(0, Math.min(this.height, box.bottom)),
    }
  }
}

/** A mask as the lengths of its runs, beginning with one of zeros: some hundred numbers instead of a million bytes. */
export function pack(mask: Mask): Uint32Array {
  const runs: number[] = []
  let value = 0
  let begin = 0
  while (begin < mask.data.length) {
    const next = mask.data.indexOf(value ? 0 : 1, begin)
    const end = next < 0 ? mask.data.length : next
    runs.push(end - begin)
    begin = end
    value = value ? 0 : 1
  }
  return Uint32Array.from(runs)
}

export function unpack(runs: Uint32Array, width: number, height: number): Mask {
  const mask = new Mask(width, height)
  let begin = 0
  runs.forEach((length, index) => {
    if (index % 2) mask.data.fill(1, begin, begin + length)
    begin += length
  })
  return mask
}

/** The bytes of an RGBA picture as the wire wants a mask: alpha 0 is drawn anew, alpha 255 stays. */
export function maskPixels(mask: Mask): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(mask.data.length * 4)
  for (let index = 0; index < mask.data.length; index += 1) pixels[index * 4 + 3] = mask.data[index] ? 0 : 255
  return pixels
}

/** How many pixels outside the mask there are, and how many of them differ between two RGBA pictures of its size. */
export function outside(mask: Mask, before: Uint8ClampedArray, after: Uint8ClampedArray): { pixels: number; changed: number } {
  const one = new Uint32Array(before.buffer, before.byteOffset, mask.data.length)
  const other = new Uint32Array(after.buffer, after.byteOffset, mask.data.length)
  let pixels = 0
  let changed = 0
  for (let index = 0; index < mask.data.length; index += 1) {
    if (mask.data[index]) continue
    pixels += 1
    if (one[index] !== other[index]) changed += 1
  }
  return { pixels, changed }
}
