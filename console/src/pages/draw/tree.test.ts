import { expect, test } from 'vitest'
import { Frames, progress, truth } from './frames'
import { branch, merge, restore, rows, titled, type Node } from './tree'

const node = (id: string, parent: string | null = null, created = 0): Node => ({
  id, parent, created, sha256: 'a'.repeat(64), width: 16, height: 16, operation: 'create', prompt: id,
})

test('only what branches stands in, and a branch is whole before the next', () => {
  const nodes = [node('a'), node('b', 'a'), node('c', 'b'), node('d', 'b'), node('e', 'c'), node('f')]
  expect(rows(nodes).map((row) => `${row.node.id}${row.depth}`)).toEqual(['a0', 'b0', 'c1', 'e1', 'd1', 'f0'])
  expect([...branch(nodes, 'b')].sort()).toEqual(['b', 'c', 'd', 'e'])
})

test('what was kept is read again, and what is no picture is left out', () => {
  const kept = JSON.parse(JSON.stringify({ nodes: [node('a'), node('b', 'gone'), { id: 3 }, null, { ...node('x'), sha256: '../' }], current: 'q' }))
  const drawing = restore(kept)
  expect(drawing.nodes.map((each) => [each.id, each.parent])).toEqual([['a', null], ['b', null]])
  expect(drawing.current).toBe('b')
  for (const odd of [null, 3, [], { nodes: 'x' }]) expect(restore(odd)).toEqual({ nodes: [], current: null })
})

test('what two windows drew is all there', () => {
  const merged = merge({ nodes: [node('a', null, 1), node('c', 'a', 3)], current: 'c' }, { nodes: [node('a', null, 1), node('b', 'a', 2)], current: 'b' })
  expect(merged.nodes.map((each) => each.id)).toEqual(['a', 'b', 'c'])
  expect(merged.current).toBe('c')
})

test('a title is one short line', () => {
  expect(titled(' 左边红猫,\n右边蓝车 ')).toBe('左边红猫, 右边蓝车')
  expect([...titled('猫'.repeat(90))].length).toBe(40)
})

test('frames come whole however they are cut, comments between them', () => {
  const text = ': step 3 of 8\n\nevent: image_edit.completed\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata: [DONE]\n\n'
  for (let cut = 0; cut < text.length; cut += 1) {
    const frames = new Frames()
    const found = [...frames.feed(text.slice(0, cut)), ...frames.feed(text.slice(cut))]
    expect(found).toEqual([
      { event: '', data: '', comment: 'step 3 of 8' },
      { event: 'image_edit.completed', data: '{"a":\n1}', comment: '' },
      { event: 'message', data: '[DONE]', comment: '' },
    ])
  }
})

test('comments tell progress and who really answers', () => {
  expect(progress('step 3 of 8')).toBeCloseTo(0.375)
  expect(progress('waiting')).toBeNull()
  const said = 'request-id: req_1; x-sampan-upstream: sketcher; x-sampan-tier: degraded; x-sampan-attempts: openai=refused,sketcher=ok'
  expect(truth(said)).toMatchObject({ 'request-id': 'req_1', 'x-sampan-tier': 'degraded', 'x-sampan-attempts': 'openai=refused,sketcher=ok' })
  expect(truth('waiting')).toEqual({})
})
