/** What sizes pictures may have, and how a canvas grows. All lengths are pixels of the picture. */
export interface Size {
  width: number
  height: number
}

export interface Margins {
  left: number
  top: number
  right: number
  bottom: number
}

export const STEP = 16
export const LEAST = 64
export const MOST = 3840
export const AREA = 3840 * 2160
export const LONGEST = 3

export const NO_MARGINS: Margins = { left: 0, top: 0, right: 0, bottom: 0 }
export const PRESETS = {
  square: { width: 1024, height: 1024 },
  landscape: { width: 1536, height: 1024 },
  portrait: { width: 1024, height: 1536 },
  wide: { width: 1792, height: 1024 },
} as const satisfies Record<string, Size>
export type Preset = keyof typeof PRESETS

export type Fault = 'step' | 'small' | 'side' | 'area' | 'long'

/** What is wrong with a size, or nothing. */
export function fault({ width, height }: Size): Fault | null {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width % STEP || height % STEP) return 'step'
  if (Math.min(width, height) < LEAST) return 'small'
  if (Math.max(width, height) > MOST) return 'side'
  if (width * height > AREA) return 'area'
  return Math.max(width, height) > LONGEST * Math.min(width, height) ? 'long' : null
}

export const name = ({ width, height }: Size): string => `${width}x${height}`

export function extended(size: Size, margins: Margins): Size {
  return { width: size.width + margins.left + margins.right, height: size.height + margins.top + margins.bottom }
}

/** The margins, whole and grown a little where the new size would be no multiple of 16: on the side that grows more. */
export function settle(size: Size, margins: Margins): Margins {
  const whole = (value: number): number => Math.max(0, Math.round(Number.isFinite(value) ? value : 0))
  const [left, right] = pair(size.width, whole(margins.left), whole(margins.right))
  const [top, bottom] = pair(size.height, whole(margins.top), whole(margins.bottom))
  return { left, top, right, bottom }
}

function pair(side: number, before: number, after: number): [number, number] {
  const rest = (STEP - ((side + before + after) % STEP)) % STEP
  return before > after ? [before + rest, after] : [before, after + rest]
}

/** A picture that is brought along, made small enough to be drawn on: within `most` a side and AREA in all. */
export function within(size: Size, most = 2048): Size {
  const scale = Math.min(1, most / Math.max(size.width, size.height), Math.sqrt(AREA / (size.width * size.height)))
  return { width: Math.max(1, Math.round(size.width * scale)), height: Math.max(1, Math.round(size.height * scale)) }
}
