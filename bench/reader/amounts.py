"""Money and dates as documents write them."""

from random import Random

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_UNITS = ("", "拾", "佰", "仟")


def money(cents: int) -> str:
    """1234567 → 12345.67."""
    return f"{cents // 100}.{cents % 100:02d}"


def grouped(cents: int) -> str:
    """1234567 → 12,345.67."""
    return f"{cents // 100:,}.{cents % 100:02d}"


def _section(value: int) -> str:
    words, pending = "", False
    for power in (3, 2, 1, 0):
        digit = value // 10**power % 10
        if digit == 0:
            pending = bool(words)
            continue
        words += ("零" if pending else "") + _DIGITS[digit] + _UNITS[power]
        pending = False
    return words


def capitals(cents: int) -> str:
    """Banker's capitals of an amount below 100,000,000 yuan: 123400 → 壹仟贰佰叁拾肆圆整."""
    yuan, jiao, fen = cents // 100, cents // 10 % 10, cents % 10
    high, low = divmod(yuan, 10_000)
    words = _section(high) + "万" if high else ""
    if low:
        words += ("零" if high and low < 1000 else "") + _section(low)
    words = (words or "零") + "圆"
    if not jiao and not fen:
        return words + "整"
    words += _DIGITS[jiao] + "角" if jiao else "零"
    return words + (_DIGITS[fen] + "分" if fen else "整")


def digits(rng: Random, count: int) -> str:
    """A number of `count` digits that does not begin with 0."""
    return str(rng.randint(1, 9)) + "".join(str(rng.randint(0, 9)) for _ in range(count - 1))


def credit_code(rng: Random) -> str:
    """Eighteen characters like a unified social credit code."""
    return "91" + digits(rng, 6) + "MA" + "".join(rng.choice("0123456789ABCDEFGHJKLMNPQRTUWXY") for _ in range(8))


def mobile(rng: Random) -> str:
    """A mainland mobile number."""
    return rng.choice(("138", "139", "150", "186", "177")) + digits(rng, 8)
