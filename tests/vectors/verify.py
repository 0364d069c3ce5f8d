"""A second implementation of the protocol's cryptography, held against the known answers beside it.

Needs the package `cryptography`. HPKE is written out from RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
ChaCha20-Poly1305, base mode.
"""
import base64, hashlib, hmac, json, math, pathlib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

here = pathlib.Path(__file__).parent
vectors = json.loads((here / "vectors.json").read_text())


def number(x):
    """A number as RFC 8785 writes it, for the numbers that occur in documents."""
    if isinstance(x, int) or (x == math.floor(x) and abs(x) < 1e21):
        return str(int(x))
    text = repr(x)
    return text.replace("e-0", "e-") if "e" in text else text


def canonical(value):
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
    return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{canonical(v)}" for k, v in items) + "}"


def verify(key, domain, message, signature):
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("ed25519:"))).verify(
        base64.b64decode(signature), domain.encode() + b"\n" + message)


def extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def expand(prk, info, length):
    out, block = b"", b""
    for i in range(1, 255):
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
        if len(out) >= length:
            return out[:length]


def labelled_extract(suite, salt, label, ikm):
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labelled_expand(suite, prk, label, info, length):
    return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def hpke_open(secret, encapsulated, info, aad, sealed):
    key = X25519PrivateKey.from_private_bytes(secret)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    kem = b"KEM" + (0x0020).to_bytes(2, "big")
    shared = key.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    prk = labelled_extract(kem, b"", b"eae_prk", shared)
    shared = labelled_expand(kem, prk, b"shared_secret", encapsulated + public, 32)
    suite = b"HPKE" + b"".join(i.to_bytes(2, "big") for i in (0x0020, 0x0001, 0x0003))
    context = b"\0" + labelled_extract(suite, b"", b"psk_id_hash", b"") + labelled_extract(suite, b"", b"info_hash", info)
    secret = labelled_extract(suite, shared, b"secret", b"")
    aead_key = labelled_expand(suite, secret, b"key", context, 32)
    nonce = labelled_expand(suite, secret, b"base_nonce", context, 12)
    return ChaCha20Poly1305(aead_key).decrypt(nonce, sealed, aad)


def mask(seed, part, words):
    nonce = bytes(4) + part.to_bytes(4, "little") + bytes(8)  # counter, then the nonce of RFC 8439
    stream = Cipher(algorithms.ChaCha20(seed, nonce), mode=None).encryptor().update(bytes(16 * words))
    return [int.from_bytes(stream[i:i + 16], "little") for i in range(0, 16 * words, 16)]


def words_of(data):
    return [int.from_bytes(data[i:i + 16], "little") for i in range(0, len(data), 16)]


example = vectors["canonical_json"]
assert canonical({"b": [1.5, None, "é\u0007"], "a": 1e20}).startswith('{"a":100000000000000000000,"b":[1.5,null,')
assert example["utf8"].startswith('{"a":1e+21,"b":[1.5,null,"é\\u0007"]}')

keys = vectors["keys"]
site = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys["site_secret"])).public_key()
raw = site.public_bytes(Encoding.Raw, PublicFormat.Raw)
assert keys["site_public"] == "ed25519:" + base64.b64encode(raw).decode()

for word in vectors["words"]:
    scale = 1 if word["kind"] == "count" else 2 ** 64
    assert (int(word["number"] * scale) % 2 ** 128).to_bytes(16, "little").hex() == word["word"]

m = vectors["mask"]
assert mask(bytes.fromhex(m["seed"]), m["part"], 5) == words_of(bytes.fromhex(m["words"]))

r = vectors["request"]
lines = [r["party"], r["method"], r["target"], r["time"], hashlib.sha256(r["body"].encode()).hexdigest()]
verify(keys["site_public"], "tributary request 1", "\n".join(lines).encode(), r["signature"])

# The answer.
text = (here / "answer.txt").read_text()
kind, rest = text.split("\n", 1)
header, rest = rest.split("\nsignature ", 1)
signature, rest = rest.split("\npayload ", 1)
count, rest = rest.split("\n", 1)
assert rest.endswith("end\n")
payload = base64.b64decode(rest.removesuffix("end\n").replace("\n", ""))
header = json.loads(header)
assert kind == "tributary answer 1" and int(count) == header["payload"]["words"] == len(payload) // 16
assert hashlib.sha256(payload).hexdigest() == header["payload"]["sha256"]
verify(keys["site_public"], kind, canonical(header).encode(), signature)
assert header["roster"] == vectors["roster"]["sha256"]
envelope = header["envelope"]
verify(keys["site_public"], "tributary envelope 1",
       canonical({k: envelope[k] for k in ("binding", "encapsulated_key", "sealed_seed")}).encode(), envelope["signature"])
seed = hpke_open(bytes.fromhex(keys["opening_secret"]), base64.b64decode(envelope["encapsulated_key"]),
                 b"tributary seed 1", canonical(envelope["binding"]).encode(), base64.b64decode(envelope["sealed_seed"]))
assert seed.hex() == m["seed"]
part = envelope["binding"]["parts"][0]
opened = [(w - s) % 2 ** 128 for w, s in zip(words_of(payload), mask(seed, part["part"], part["words"]))]
assert opened == words_of(bytes.fromhex(vectors["open_words"]))
print("known answers hold: keys, words, mask, request, answer, envelope")
