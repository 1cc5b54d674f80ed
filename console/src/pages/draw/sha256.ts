/** SHA-256 (FIPS 180-4), which browsers give only to pages that came by https: pictures are named by it. */
const primes: number[] = []
for (let n = 2; primes.length < 64; n += 1) if (primes.every((prime) => n % prime)) primes.push(n)
const fraction = (value: number): number => ((value - Math.floor(value)) * 2 ** 32) | 0
const ROUNDS = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)))
const BEGIN = Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)))

export function sha256(data: Uint8Array): string {
  const length = data.length
  const padded = new Uint8Array((((length + 8) >> 6) + 1) << 6)
  padded.set(data)
  padded[length] = 0x80
  const words = new DataView(padded.buffer)
  words.setUint32(padded.length - 8, Math.floor(length / 2 ** 29))
  words.setUint32(padded.length - 4, (length * 8) >>> 0)
  const state = BEGIN.slice()
  const plan = new Int32Array(64)
  for (let at = 0; at < padded.length; at += 64) digest(words, at, state, plan)
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}

function digest(words: DataView, at: number, state: Int32Array, w: Int32Array): void {
  for (let i = 0; i < 16; i += 1) w[i] = words.getInt32(at + i * 4)
  for (let i = 16; i < 64; i += 1) {
    const p = w[i - 15] as number
    const q = w[i - 2] as number
    const s0 = ((p >>> 7) | (p << 25)) ^ ((p >>> 18) | (p << 14)) ^ (p >>> 3)
    const s1 = ((q >>> 17) | (q << 15)) ^ ((q >>> 19) | (q << 13)) ^ (q >>> 10)
    w[i] = ((w[i - 16] as number) + s0 + (w[i - 7] as number) + s1) | 0
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const one = (h + s1 + ((e & f) ^ (~e & g)) + (ROUNDS[i] as number) + (w[i] as number)) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + one) | 0
    d = c
    c = b
    b = a
    a = (one + two) | 0
  }
  for (const [index, word] of [a, b, c, d, e, f, g, h].entries()) state[index] = ((state[index] as number) + word) | 0
}
