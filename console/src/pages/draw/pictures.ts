/** Pictures as bytes, as something to draw, and as what the gateway keeps. */
import { ask, json } from '../../shell/api'
import { type Mask, maskPixels, outside } from './mask'
import { sha256 } from './sha256'
import { extended, type Margins, type Size, within } from './sizes'

export const PATH = '/console/v1/pictures'
const KINDS = ['image/png', 'image/jpeg', 'image/webp']

export interface Easel {
  id: string
  draws: boolean
  edits: boolean
  seeds: boolean
  negates: boolean
}

export interface Easels {
  default: string
  largest: number
  models: Easel[]
}

export const easels = (): Promise<Easels> => json<Easels>(PATH)

/** What was drawn in this window needs not be fetched: its bytes, by their names. */
const held = new Map<string, { data: Blob; url: string }>()

function put(name: string, data: Blob): string {
  if (!held.has(name)) held.set(name, { data, url: URL.createObjectURL(data) })
  return name
}

/** Where an `<img>` finds a picture. */
export const source = (name: string): string => held.get(name)?.url ?? `${PATH}/${name}`

export async function fetched(name: string): Promise<Blob> {
  const near = held.get(name)
  return near ? near.data : (await ask(`${PATH}/${name}`)).blob()
}

/** The name of bytes that the gateway has kept already. */
export async function hold(data: Blob): Promise<string> {
  return put(sha256(new Uint8Array(await data.arrayBuffer())), data)
}

/** Has the gateway keep bytes; returns their name. */
export async function keep(data: Blob): Promise<string> {
  const kept = await json<{ sha256: string }>(PATH, { method: 'POST', body: data })
  return put(kept.sha256, data)
}

/** An element that a canvas can draw. Raises `DOMException` for what is no picture. */
export async function decoded(url: string): Promise<HTMLImageElement> {
  const image = new Image()
  image.src = url
  await image.decode()
  return image
}

function sheet({ width, height }: Size): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('this browser has no canvas')
  return context
}

function bytes(context: CanvasRenderingContext2D, type = 'image/png', quality?: number): Promise<Blob> {
  return new Promise((done, failed) => {
    context.canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error('this browser cannot write pictures'))), type, quality)
  })
}

/** The mask at the picture's own size. */
export function maskPng(mask: Mask): Promise<Blob> {
  const context = sheet(mask)
  context.putImageData(new ImageData(maskPixels(mask), mask.width, mask.height), 0, 0)
  return bytes(context)
}

/** The picture on its larger canvas, its own pixels in place; around them its edge, drawn out. */
export function onLargerCanvas(image: HTMLImageElement, size: Size, margins: Margins): Promise<Blob> {
  const whole = extended(size, margins)
  const context = sheet(whole)
  const { width: w, height: h } = size
  const columns = [[0, 1, 0, margins.left], [0, w, margins.left, w], [w - 1, 1, margins.left + w, margins.right]] as const
  const lines = [[0, 1, 0, margins.top], [0, h, margins.top, h], [h - 1, 1, margins.top + h, margins.bottom]] as const
  context.imageSmoothingEnabled = false
  for (const [sx, sw, x, dw] of columns) {
    for (const [sy, sh, y, dh] of lines) if (dw && dh) context.drawImage(image, sx, sy, sw, sh, x, y, dw, dh)
  }
  return bytes(context)
}

export function pixels(image: HTMLImageElement, size: Size): Uint8ClampedArray {
  const context = sheet(size)
  context.drawImage(image, 0, 0)
  return context.getImageData(0, 0, size.width, size.height).data
}

/** What changed outside a mask; null where the pictures are not of its size. */
export function compared(mask: Mask, before: HTMLImageElement, after: HTMLImageElement): { pixels: number; changed: number } | null {
  const same = (image: HTMLImageElement): boolean => image.naturalWidth === mask.width && image.naturalHeight === mask.height
  return same(before) && same(after) ? outside(mask, pixels(before, mask), pixels(after, mask)) : null
}

export interface Brought {
  data: Blob
  size: Size
}

/** A picture as it may be sent: as it is where that goes, else smaller and written anew. Null for what is none. */
export async function brought(file: Blob, largest: number): Promise<Brought | null> {
  const url = URL.createObjectURL(file)
  try {
    const image = await decoded(url)
    const own = { width: image.naturalWidth, height: image.naturalHeight }
    const size = within(own)
    const fits = KINDS.includes(file.type) && file.size <= largest && size.width === own.width
    // A photograph says in its EXIF how it is to be turned: models do not look there, a canvas does.
    if (fits && file.type !== 'image/jpeg') return { data: file, size }
    const context = sheet(size)
    context.imageSmoothingQuality = 'high'
    context.drawImage(image, 0, 0, size.width, size.height)
    const lossless = await bytes(context)
    return { data: lossless.size <= largest ? lossless : await bytes(context, 'image/jpeg', 0.92), size }
  } catch (error) {
    if (error instanceof DOMException) return null
    throw error
  } finally {
    URL.revokeObjectURL(url)
  }
}

/** The clipboard takes PNG only, and only of pages that came by https or from this machine. */
export const canCopy = (): boolean => window.isSecureContext && 'ClipboardItem' in window

export async function copy(data: Blob): Promise<void> {
  if (data.type === 'image/png') return navigator.clipboard.write([new ClipboardItem({ 'image/png': data })])
  const url = URL.createObjectURL(data)
  try {
    const image = await decoded(url)
    const context = sheet({ width: image.naturalWidth, height: image.naturalHeight })
    context.drawImage(image, 0, 0)
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': await bytes(context) })])
  } finally {
    URL.revokeObjectURL(url)
  }
}
