"""What it costs to translate between the wires, beside handing on what came: `python -m bench.translation`."""
