import { expect, it } from 'vitest'
import { attempts, content, reason, receipt } from './told'

it('reads attempts, and where one went on for another', () => {
  expect(attempts('claude=server_error,reader=ok', true)).toEqual([
    { target: 'claude', how: 'server_error', seam: false },
    { target: 'reader', how: 'ok', seam: false },
  ])
  expect(attempts('claude=cut,vl=ok', true).map((each) => each.seam)).toEqual([false, true])
  expect(attempts('claude=cut,vl=ok', false).map((each) => each.seam)).toEqual([false, false])
  expect(attempts('', true)).toEqual([])
})

it('reads receipts', () => {
  const text = 'messages.0.content.1=9f86d081884c7d65:3p,messages.2.content.0=60303ae22b998861:1369t,a=ab:pdf,+12'
  const { morsels, more } = receipt(text)
  expect(morsels.map((each) => [each.count, each.became])).toEqual([[3, 'p'], [1369, 't'], [0, 'pdf']])
  expect(morsels[0]?.path).toBe('messages.0.content.1')
  expect(more).toBe(12)
})

it('reads reasons', () => {
  expect(reason('residency:detected resident_id, mobile')).toEqual({ source: 'residency', kind: 'detected', detail: 'resident_id, mobile' })
  expect(reason('residency:header')).toEqual({ source: 'residency', kind: 'header', detail: '' })
  expect(reason('policy:no cloud at night')).toEqual({ source: 'policy', kind: 'no cloud at night', detail: '' })
})

it('reads what was kept', () => {
  expect(content(`redacted:${'a'.repeat(64)}`)).toMatchObject({ how: 'redacted', there: true })
  expect(content('sealed:lost')).toMatchObject({ how: 'sealed', there: false })
  expect(content('')).toMatchObject({ how: '', there: false })
})
