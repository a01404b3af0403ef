"""A torch model as a small program that any framework can run: operations with literal arguments, and names.

**Making one.** ``Programs(model)`` keeps the programs of one model: ``programs.fitting(specs, train=…, **options)``
returns the program for inputs of these names, ranks and types, exporting it when there is none yet. A program serves
every batch and every length, since sizes stay symbolic; where a model fixes a size (an image's height), the program
says so in ``Input.shape``, and another size gets another program.

**Running one.** ``run(program, table, parameters, inputs)`` walks through ``program.ops``. The table of a framework
maps a name, ``"aten.add.Tensor"`` or for all overloads at once ``"aten.add"``, to a function that takes the operation's
arguments as ATen declares them (a call leaves out defaults, as torch does). What the functions meet:

* values: the framework's tensors; sizes are Python numbers, or whatever the framework's ``aten.sym_size`` returns
  (arithmetic on sizes is done here with Python's operators, which tensors of all frameworks overload);
* types are ``DType("float32")``; devices, layouts and memory formats are left out;
* lists are lists; the end of an open slice is 2**63 - 1; infinities are floats;
* an operation with several results (``aten.split``, ``aten.native_dropout``) returns a tuple or list;
* integer inputs are int64 in the program; a framework may narrow them as long as it does so for all;
* nothing is changed in place and nothing aliases: views are ordinary functions; copies of the same values, and
  dropout outside of training, are left out (``rewriting`` says what torch leaves in fewer words).

Random operations (``RANDOM``: dropout, and attention with dropout) are in training programs alone. The caller passes
functions that hold its generator in that call's table: ``run(program, {**TABLE, "aten.native_dropout": mine}, …)``.

**Parameters.** ``program.parameters`` and ``program.buffers`` are the names in ``model.state_dict()`` (and of buffers
that no file holds) that the program reads. Weights that are shared have one name, the first in
``model.named_parameters()``: ``leaves(model)`` gives name → tensor, each weight once, and ``aliases(model)`` the other
names. ``program.updates`` names buffers with new values after a run (running statistics of a batch norm in training).

Example:
    >>> import torch
    >>> from enfold.transformers import BertConfig, BertModel
    >>> model = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
    ...                              intermediate_size=8)).eval()
    >>> program = Programs(model).fitting({"input_ids": Spec((2, 5), "int64")})
    >>> program.inputs[0].name, program.inputs[0].shape[1] == 5  # a symbol: any length
    ('input_ids', False)
    >>> sorted(program.output)
    ['last_hidden_state', 'pooler_output']
"""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".program": ["DType", "Input", "Op", "Program", "RANDOM", "Read", "Ref", "Result", "Spec"],
        ".exporting": ["Programs", "export", "free_dimensions"],
        ".running": ["run"],
        ".weights": ["aliases", "leaves"],
    },
)
