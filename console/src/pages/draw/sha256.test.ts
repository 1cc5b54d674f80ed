import { expect, test } from 'vitest'
import { sha256 } from './sha256'

/** Lengths around the edges of a block, with what Python's hashlib says of the same bytes. */
const KNOWN = [
  [0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  [1, '4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a'],
  [3, '3d29e3f6c20f56e15d8c76455cc7e9bd5fb9107163bb9ebb5a4dcc969629f46b'],
  [55, '86bdf1401483a3d48aa0b853de242db9073b3e9e190bd1c8073abf0eba3d3ea7'],
  [56, '3682950d356858453c48a040cf03790b27a8a5bb541df1c7b2741140f1ca041d'],
  [57, 'a1a4f023df6eac2b87153a848c362a381988a3034d6078abb92b1c5618f08def'],
  [63, '308f063ec4dcb7154b236d356430791a13a7b3001d6a375dcfd686368c68950f'],
  [64, '197a5d2e6d3bc917955f5c5f4fd66bf316cb07ee58f6110a730c08c11b5563e0'],
  [65, '0e0450689e33dcf6ce90264391ad6f82e0efe546579e57c0fe8dc759a37fe26a'],
  [119, 'de55d54be9f6c0db65425d6e308db6ba9e8eea6e35b070e2dcd39919b668ff9c'],
  [120, '033f2213655dffe41d5824f3babf21b7f7dcb731d1c6ff1835b4937b2a16db00'],
  [1000, 'd4684165c6382aa9fb47cb7d085eaaf522daab2dfedd176d2314754f50433c79'],
  [100003, '6fa4ee89b2c13838264b34cae216d74578be956051e19bf9a25ace572c188639'],
] as const

test.each(KNOWN)('of %i bytes', (length, digest) => {
  expect(sha256(Uint8Array.from({ length }, (_, index) => (index * 131 + length) & 255))).toBe(digest)
})
