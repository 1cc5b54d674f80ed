/** Pictures and PDFs on their way to the gateway: made fit, sent with progress, taken back. */
import { reactive } from 'vue'
import { ask } from '../../shell/api'
import { csrf, lost } from '../../shell/session'
import type { Attached } from './talk'

export const PDF = 'application/pdf'
/** What is sent as it is; other pictures are drawn anew as JPEG, where the browser can read them. */
const PLAIN = ['image/png', 'image/jpeg', 'image/gif', 'image/webp']
export const ACCEPT = 'image/*,application/pdf'
const LONGEST_SIDE = 4096 // pixels of a picture that had to be made smaller

export interface Upload {
  id: number
  name: string
  kind: string
  size: number
  /** What is shown meanwhile: an address of the browser's own, empty for what is no picture. */
  look: string
  /** 0 to 1. */
  progress: number
  state: 'sending' | 'there' | 'failed'
  attached: Attached | null
  error: string
  stop: () => void
}

export interface Bounds {
  picture: number
  file: number
}

export type Objection = 'kind' | 'size' | 'unreadable'

export const isTaken = (file: File): boolean => file.type.startsWith('image/') || kindOf(file) === PDF
const kindOf = (file: File): string => file.type || (/\.pdf$/i.test(file.name) ? PDF : '')

/** A name that the Files API takes. */
export function plainName(name: string): string {
  return name.replace(/[<>:"|?*\p{Cc}]/gu, '_').slice(-200) || 'file'
}

let count = 0

/** Begins to send a file; the upload tells how far it is. `object` says what is wrong in the page's words. */
export function upload(file: File, bounds: Bounds, object: (why: Objection) => string): Upload {
  count += 1
  const stopped = new AbortController()
  const made = reactive<Upload>({
    id: count,
    name: plainName(file.name),
    kind: kindOf(file),
    size: file.size,
    look: file.type.startsWith('image/') ? URL.createObjectURL(file) : '',
    progress: 0,
    state: 'sending',
    attached: null,
    error: '',
    stop: () => stopped.abort(),
  })
  const failed = (message: string): void => {
    made.state = 'failed'
    made.error = message
  }
  void (async () => {
    try {
      const fit = await fitted(file, bounds)
      if (typeof fit === 'string') return failed(object(fit))
      made.attached = await send(fit, made, stopped.signal)
      made.state = 'there'
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error))
    }
  })()
  return made
}

async function fitted(file: File, bounds: Bounds): Promise<File | Objection> {
  if (!isTaken(file)) return 'kind'
  if (kindOf(file) === PDF) return file.size > bounds.file ? 'size' : file
  if (PLAIN.includes(file.type) && file.size <= bounds.picture) return file
  try {
    // As it is shown: the camera's turn is drawn into the picture.
    const picture = await createImageBitmap(file, { imageOrientation: 'from-image' })
    for (let side = LONGEST_SIDE; side >= 512; side /= 2) {
      const data = await drawn(picture, side)
      if (data && data.size <= bounds.picture) {
        return new File([data], file.name.replace(/\.\w+$/, '') + '.jpg', { type: 'image/jpeg' })
      }
    }
    return 'size'
  } catch {
    return 'unreadable'
  }
}

function drawn(picture: ImageBitmap, side: number): Promise<Blob | null> {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.round(picture.width * scale)
  canvas.height = Math.round(picture.height * scale)
  canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height)
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.9))
}

/** By XMLHttpRequest, the one way of browsers that tells how much of a body has gone. */
function send(file: File, made: Upload, signal: AbortSignal): Promise<Attached> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const form = new FormData()
    form.append('file', file, plainName(file.name))
    request.open('POST', '/v1/files')
    request.setRequestHeader('anthropic-version', '2023-06-01')
    request.setRequestHeader('x-sampan-csrf', csrf.value)
    request.responseType = 'json'
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) made.progress = event.loaded / event.total
    }
    request.onerror = () => reject(new Error(''))
    request.onload = () => {
      const said = request.response as { id?: string; mime_type?: string; error?: { message?: string } } | null
      if (request.status === 401) lost()
      if (request.status !== 200 || !said?.id) return reject(new Error(said?.error?.message ?? `HTTP ${request.status}`))
      resolve({ file: said.id, name: made.name, kind: said.mime_type ?? file.type, size: file.size })
    }
    signal.addEventListener('abort', () => {
      request.abort()
      reject(new Error(''))
    })
    request.send(form)
  })
}

export const addressOf = (attached: Attached): string => `/console/v1/files/${encodeURIComponent(attached.file)}`

/** Takes a file back from the gateway; nobody waits for it, and one that is gone already is no loss. */
export function forget(files: readonly Attached[]): void {
  for (const { file } of files) {
    ask(`/v1/files/${encodeURIComponent(file)}`, { method: 'DELETE' }).catch(() => undefined)
  }
}
