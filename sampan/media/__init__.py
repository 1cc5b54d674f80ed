"""Pictures and documents on their way to a target: each is consumed, rendered for it, or refused by name.

Words of this room:

- morsel: one picture or document of a request, with the path of its block (`messages.0.content.1`)
- diet: what a target consumes by itself, and in which form
- to adapt: to make a request one that its target's diet covers, changing only the blocks that must change
- receipt: what became of each morsel, told to the caller and to the record
- sheet: one page of a PDF as a picture, with its text layer where it has one
- crew and worker: the processes that decode what strangers sent, and one of them; a crash there costs one call
- exemption: an address or a host that may be fetched from although it is not public
"""
