import { describe, expect, it } from 'vitest'
import { attemptsOf, fileNameOf, filesOf, markdownOf, messagesOf, newTalk, nothingTold, type State, talkOf, titleOf, type Turn } from './talk'

function turn(text: string, answers: [string, State][] = [], files: string[] = []): Turn {
  return {
    id: text,
    text,
    files: files.map((file) => ({ file, name: file, kind: file.endsWith('pdf') ? 'application/pdf' : 'image/png', size: 1 })),
    at: 0,
    answers: answers.map(([said, state]) => ({
      asked: '', house: false, text: said, state, told: nothingTold(), error: null, at: 0,
    })),
    shown: 0,
  }
}

describe('messagesOf', () => {
  it('sends files before the words, and what was shown of earlier answers', () => {
    const talk = newTalk()
    talk.turns = [turn('a', [['first', 'done'], ['second', 'done']], ['x.png', 'y.pdf']), turn('b')]
    talk.turns[0]!.shown = 1
    expect(messagesOf(talk, 1)).toEqual([
      {
        role: 'user',
        content: [
          { type: 'image', source: { type: 'file', file_id: 'x.png' } },
          { type: 'document', source: { type: 'file', file_id: 'y.pdf' } },
          { type: 'text', text: 'a' },
        ],
      },
      { role: 'assistant', content: 'second' },
      { role: 'user', content: [{ type: 'text', text: 'b' }] },
    ])
  })
  it('leaves out turns that nobody answered, and what comes later', () => {
    const talk = newTalk()
    talk.turns = [turn('a', [['', 'failed']]), turn('b', [['half \n', 'stopped']]), turn('c'), turn('d')]
    expect(messagesOf(talk, 2).map((each) => each.role)).toEqual(['user', 'assistant', 'user'])
    expect(messagesOf(talk, 2)[1]?.content).toBe('half')
  })
})

it('finds the files that an answer is about', () => {
  const talk = newTalk()
  talk.turns = [turn('a', [], ['x.png']), turn('b'), turn('c', [], ['y.png'])]
  expect(filesOf(talk, 1)[0]?.file).toBe('x.png')
  expect(filesOf(talk, 2)[0]?.file).toBe('y.png')
  expect(filesOf(newTalk(), 0)).toEqual([])
})

it('names a conversation by its first words', () => {
  expect(titleOf(turn('\n 签订\t日期?\nmore'), '新')).toBe('签订 日期?')
  expect(titleOf(turn('', [], ['合同.png']), '新')).toBe('合同.png')
  expect([...titleOf(turn('字'.repeat(60)), '新')]).toHaveLength(40)
  expect(titleOf(undefined, '新')).toBe('新')
})

it('reads who was asked', () => {
  expect(attemptsOf('claude=server_error,reader=ok')).toEqual([
    { upstream: 'claude', fault: 'server_error' },
    { upstream: 'reader', fault: 'ok' },
  ])
  expect(attemptsOf('')).toEqual([])
})

it('takes up what was kept, and what was cut in the middle', () => {
  expect(talkOf({ other: 1 })).toEqual(newTalk())
  expect(talkOf(null).turns).toEqual([])
  const cut = talkOf({ ...newTalk(), turns: [{ ...turn('a', [['half', 'writing']]), shown: 7 }] })
  expect(cut.turns[0]?.answers[0]?.state).toBe('stopped')
  expect(cut.turns[0]?.shown).toBe(0)
})

it('writes a conversation down', () => {
  const talk = newTalk()
  talk.turns = [turn('日期?', [['六月', 'stopped']], ['x.png'])]
  talk.turns[0]!.answers[0]!.told = { ...nothingTold(), tier: 'degraded', upstream: 'reader', request: 'req_1' }
  const text = markdownOf(talk, '合同', { asked: '问', answered: '答', stopped: '已停止', failed: '失败' }, () => 'now')
  expect(text).toBe('# 合同\n\n## 问 · now\n\n- x.png\n\n日期?\n\n### 答 · degraded · reader · req_1\n\n六月\n\n_已停止_\n')
  expect(fileNameOf('a/b: c?')).toBe('a b c')
  expect(fileNameOf('???')).toBe('sampan')
})
