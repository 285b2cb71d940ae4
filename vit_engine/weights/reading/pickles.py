"""Pickles as data: the values that a pickle spells out; nothing of it is run, and no number in it takes memory.

PyTorch's own weights-only unpickler runs nothing either, and yet a kilobyte may ask it for any amount of memory:
bytearray(n), torch.FloatTensor(n) and encode() upon encode() are calls that it allows. Here a name stands for a value
or a function of this package, or for nothing, and all that is made is counted. The opcodes are those that it knows,
which are all that torch.save() writes. Reference: pickletools, in the standard library.
"""

import argparse
import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from torch import Tensor

from vit_engine.errors import CheckpointError

LONGEST = 64_000_000  # bytes of a file's pickles; a training file of ViT-g has 1 MB
MOST_STEPS = 1_000_000  # opcodes, and items that calls copy; a tensor takes about 35, and all of them 2 seconds
MOST_TUPLE_KEYS = 1000
MOST_KEY_PARTS = 16  # of a tuple that is a key
LONGEST_KEY = 10_000  # characters of a key, all of its parts together
_SCALARS = (str, bytes, int, float, bool, type(None))
_COPIED = (str, bytes, list, tuple, dict, set)
_ONLY = "Save its state_dict() alone, or as safetensors."


class Unreadable(Exception):  # noqa: N818
    """What is wrong with a pickle, as the rest of a sentence on its file."""


class UnknownName(Unreadable):
    """A name that stands for nothing here; it is the message."""


@dataclass(frozen=True)
class Function:
    """What a pickle may call. tensors: whether any of its arguments may be a tensor.

    A tensor may claim any number of rows in a file of 200 bytes, and Python makes a tensor of each to iterate over it.
    """

    call: Callable[..., Any]
    tensors: bool = False

    def apply(self, arguments: Sequence[Any]) -> Any:
        """call(*arguments); Unreadable for tensors in the place of what is counted or copied."""
        if not self.tensors and any(isinstance(each, Tensor) for each in arguments):
            raise Unreadable("has a tensor in the place of numbers or names")
        return self.call(*arguments)


class Limited:
    """A file's pickles: what they may still read, whatever lengths they claim, and make; CheckpointError beyond it."""

    def __init__(self, file: IO[bytes], left: int = LONGEST) -> None:
        self._file, self._left = file, left
        self._steps, self._tuple_keys = MOST_STEPS, MOST_TUPLE_KEYS

    def read(self, size: int) -> bytes:
        return self._counted(self._file.read(min(size, self._left + 1)))

    def readline(self) -> bytes:
        return self._counted(self._file.readline(self._left + 1))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise CheckpointError(f"it holds more than weights: a pickle of over {LONGEST:,} bytes. {_ONLY}")
        return data

    def spend(self, steps: int = 1) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise CheckpointError(f"it holds more than weights: over {MOST_STEPS:,} steps of a pickle. {_ONLY}")

    def check_key(self, key: Any) -> None:
        """Keys whose hashes nobody can choose, or few others: a dict of colliding keys takes the square of the time.

        Tuples are flat, because Python hashes those in tuples with no look at how deep they are.
        """
        if type(key) is tuple:
            self._tuple_keys -= 1
        flat = key if type(key) is tuple else (key,)
        short = self._tuple_keys >= 0 and len(flat) <= MOST_KEY_PARTS
        if not short or not all(type(each) in _SCALARS for each in flat):
            raise Unreadable(f"has keys that are no names or numbers ({type(key).__name__})")
        if any(type(each) is int and abs(each) >= 1 << 63 for each in flat):
            raise Unreadable("has a key that is too large a number, which must be below 2 to the 63rd")
        length = sum(len(each) for each in flat if isinstance(each, str | bytes))
        if length > LONGEST_KEY:
            raise Unreadable(f"has a key of {length:,} characters, and at most {LONGEST_KEY:,} are read")


def unpickle(file: Limited, *, resolve: Callable[[str], Any], storage: Callable[[Any], Any]) -> Any:
    """The value of the pickle that a file goes on with; the file then stands behind it.

    resolve(name): the Function or the value that a global stands for. storage(id): what a persistent id stands for.
    Unreadable for what torch.save() does not write; damage leads to ValueError, LookupError, TypeError, AttributeError.
    """
    machine = _Machine(file, resolve, storage)
    for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]  # it has what genops needs
        file.spend()
        step = _STEPS.get(opcode.name)
        if step is None:
            raise Unreadable(f"has an opcode of another kind of pickle ({opcode.name})")
        step(machine, argument)
    (value,) = machine.stack
    return value


class _Machine:
    """The stack of a pickle, the stacks below its marks, and its memo."""

    def __init__(self, limits: Limited, resolve: Callable[[str], Any], storage: Callable[[Any], Any]) -> None:
        self.limits, self.resolve, self.storage = limits, resolve, storage
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError("values that are not there")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def get(self, index: int) -> None:
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Function) or type(arguments) is not tuple:
            raise Unreadable("calls what is no function")
        self.limits.spend(sum(len(each) for each in arguments if isinstance(each, _COPIED)))
        self.push(function.apply(arguments))

    def find_storage(self) -> None:
        """Of a persistent id, which torch.save() writes as a tuple."""
        saved = self.stack.pop()
        if type(saved) is not tuple or any(isinstance(each, Tensor) for each in saved):
            raise Unreadable("names a storage in another way than torch.save() does")
        self.push(self.storage(saved))

    def append(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise Unreadable(f"appends to a {type(target).__name__}")
        target.extend(items)

    def set_items(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in {dict, OrderedDict, Counter}:
            raise Unreadable(f"puts items into a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.limits.check_key(key)
            target[key] = value

    def build(self) -> None:
        """Attributes: arguments have them, and those of anything else are let go."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, argparse.Namespace):
            if type(state) is not dict:
                raise Unreadable(f"has arguments that are no dict ({type(state).__name__})")
            self.limits.spend(len(state))
            vars(target).update({key: value for key, value in state.items() if type(key) is str})
        elif hasattr(target, "set_state"):
            target.set_state(state)
        elif not isinstance(target, OrderedDict | Counter):
            raise Unreadable(f"sets attributes of a {type(target).__name__}")


Step = Callable[[_Machine, Any], object]


def sequence(value: object) -> Sequence[Any]:
    """A tuple or a list as it is; Unreadable for anything else that can be iterated over."""
    if type(value) not in {tuple, list}:
        raise Unreadable(f"has a {type(value).__name__} in the place of a tuple or a list")
    return value  # type: ignore[return-value]  # it is one of the two


def _push(make: Callable[[Any], Any]) -> Step:
    return lambda machine, argument: machine.stack.append(make(argument))


_STEPS: Mapping[str, Step] = {
    "PROTO": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine.mark(),
    "NONE": _push(lambda _: None),
    "NEWTRUE": _push(lambda _: True),
    "NEWFALSE": _push(lambda _: False),
    "EMPTY_TUPLE": _push(lambda _: ()),
    "EMPTY_LIST": _push(lambda _: []),
    "EMPTY_DICT": _push(lambda _: {}),
    "EMPTY_SET": _push(lambda _: set()),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"), _Machine.push),
    "SHORT_BINSTRING": _push(lambda text: text.encode("latin-1").decode()),  # of Python 2
    "GLOBAL": lambda machine, name: machine.push(machine.resolve(name.replace(" ", ".", 1))),
    "BINPERSID": lambda machine, _: machine.find_storage(),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.pop(3))),
    "APPEND": lambda machine, _: machine.append(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, _: machine.call()),
    "BUILD": lambda machine, _: machine.build(),
}
