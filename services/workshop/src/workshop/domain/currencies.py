"""ISO 4217: the currencies that are money in a shop, and how many digits their minor unit has."""

from workshop.domain.errors import UnknownCurrency

NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
TWO_DIGITS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG"
)
THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"

DIGITS = {
    **dict.fromkeys(NO_DIGITS.split(), 0),
    **dict.fromkeys(TWO_DIGITS.split(), 2),
    **dict.fromkeys(THREE_DIGITS.split(), 3),
}


def refuse_unknown(currency: str) -> None:
    if currency not in DIGITS:
        raise UnknownCurrency(f"{currency} is no currency of ISO 4217", currency=currency)


def in_words(minor: int, currency: str) -> str:
    """`41250 EUR` in cents is `412.50 EUR`."""
    digits = DIGITS.get(currency, 2)
    sign, amount = ("-" if minor < 0 else ""), str(abs(minor)).zfill(digits + 1)
    whole, rest = amount[: len(amount) - digits], amount[len(amount) - digits :]
    return f"{sign}{whole}.{rest} {currency}" if rest else f"{sign}{whole} {currency}"
