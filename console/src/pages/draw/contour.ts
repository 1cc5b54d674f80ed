/** The edge of a mask as closed lines along the sides of pixels, for the line of ants that marches around it. */
import type { Mask, Point } from './mask'

/** Each loop has the selected pixels on its right. Loops that touch in a corner stay apart. */
export function contour(mask: Mask): Point[][] {
  const { width, height, data } = mask
  const at = (x: number, y: number): number => (x < 0 || y < 0 || x >= width || y >= height ? 0 : (data[y * width + x] as number))
  // A side begins at a corner of the grid and goes in a direction: 0 right, 1 down, 2 left, 3 up.
  const sides = new Set<number>()
  const side = (x: number, y: number, direction: number): number => (y * (width + 1) + x) * 4 + direction
  for (let y = 0; y < height; y += 1) {
    for (let x = data.indexOf(1, y * width) - y * width; x >= 0 && x < width; x += 1) {
      if (!at(x, y)) continue
      if (!at(x, y - 1)) sides.add(side(x, y, 0))
      if (!at(x + 1, y)) sides.add(side(x + 1, y, 1))
      if (!at(x, y + 1)) sides.add(side(x + 1, y + 1, 2))
      if (!at(x - 1, y)) sides.add(side(x, y + 1, 3))
    }
  }
  const loops: Point[][] = []
  for (const first of sides) {
    const loop: Point[] = []
    let here = first
    let before = -1
    while (sides.delete(here)) {
      const direction = here % 4
      const corner = (here - direction) / 4
      const x = corner % (width + 1)
      const y = (corner - x) / (width + 1)
      if (direction !== before) loop.push({ x, y })
      before = direction
      const nx = x + (direction === 0 ? 1 : direction === 2 ? -1 : 0)
      const ny = y + (direction === 1 ? 1 : direction === 3 ? -1 : 0)
      // Where two loops touch, the sharpest turn around the same pixel is taken.
      const turns = [(direction + 1) % 4, direction, (direction + 3) % 4]
      here = turns.map((turn) => side(nx, ny, turn)).find((each) => sides.has(each)) ?? -1
    }
    if (before === first % 4) loop.shift() // it began in the middle of a straight line
    if (loop.length) loops.push(loop)
  }
  return loops
}
