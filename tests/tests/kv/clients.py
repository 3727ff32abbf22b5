"""Debian's two Python clients of memcached against the server at HOST PORT. Fails by an exception."""

import sys
import time

import memcache
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

host, port = sys.argv[1], int(sys.argv[2])


def check(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r:.200} is not {wanted!r:.200}")


def pymemcache():
    client = Client((host, port), timeout=20, default_noreply=False)
    client.flush_all()
    check(client.set("key", b"value"), True)
    check(client.get("key"), b"value")
    check(client.get("none"), None)
    check(client.add("key", b"other"), False)
    check(client.replace("key", b"second"), True)
    check(client.append("key", b" end"), True)
    check(client.prepend("key", b"start "), True)
    value, cas = client.gets("key")
    check(value, b"start second end")
    check(client.cas("key", b"third", cas), True)
    check(client.cas("key", b"fourth", cas), False)
    check(client.cas("none", b"fourth", cas), None)
    check(client.delete("key"), True)
    check(client.delete("key"), False)
    check(client.set("number", b"10"), True)
    check(client.incr("number", 5), 15)
    check(client.decr("number", 20), 0)
    check(client.incr("none", 1), None)
    check(client.touch("number", 100), True)
    many = {f"key{number}": f"value{number}".encode() * number for number in range(200)}
    check(client.set_many(many), [])
    check(client.get_many(list(many) + ["none"]), many)
    check(len(client.gets_many(list(many))), 200)
    check(client.set_many({"a": b"1", "b": b"2"}, noreply=True), [])
    check(client.get("b"), b"2")
    check(client.delete_many(["a", "b"]), True)
    check(client.set("brief", b"1", expire=1), True)
    check(client.set("past", b"1", expire=-1), True)
    check(client.get("past"), None)
    time.sleep(2.2)
    check(client.get("brief"), None)
    check(client.gat("number", 10), b"0 ") if hasattr(client, "gat") else None
    large = bytes(range(256)) * 3900
    check(client.set("large", large), True)
    check(client.get("large") == large, True)
    try:
        client.set("too large", b"x")
        raise AssertionError("a key with a space in it")
    except MemcacheClientError:
        pass
    try:
        client.set("huge", b"x" * (2 << 20))
        raise AssertionError("an item beyond the limit")
    except MemcacheServerError as error:
        check(b"too large" in error.args[0], True)
    check(client.get("number") is not None, True)
    stats = client.stats()
    check(stats[b"limit_maxbytes"], 64 << 20)
    check(client.stats("settings")[b"item_size_max"], 1 << 20)
    check(client.version().split()[0], b"1.6.18")
    check(client.flush_all(), True)
    check(client.get("number"), None)
    client.quit()


def pooled():
    client = HashClient([(host, port)], use_pooling=True, timeout=20)
    check(client.set("pooled", b"value"), True)
    check(client.get_many(["pooled"]), {"pooled": b"value"})
    client.close()


def python_memcache():
    client = memcache.Client([f"{host}:{port}"], socket_timeout=20)
    check(client.set("text", "value"), True)
    check(client.get("text"), "value")
    check(client.set("list", list(range(1000))), True)
    check(client.get("list"), list(range(1000)))
    check(client.set("number", 7), True)
    check(client.incr("number"), 8)
    check(client.set_multi({"a": 1, "b": "two"}, key_prefix="multi"), [])
    check(client.get_multi(["a", "b", "c"], key_prefix="multi"), {"a": 1, "b": "two"})
    check(client.set("zipped", "x" * 100000, min_compress_len=100), True)
    check(client.get("zipped"), "x" * 100000)
    check(client.gets("text"), "value")
    check(client.cas("text", "new"), True)
    check(client.touch("text", 50), 1)
    check(client.delete("text"), 1)
    check(len(client.get_stats()), 1)
    client.flush_all()
    check(client.get("number"), None)
    client.disconnect_all()


pymemcache()
pooled()
python_memcache()
print("python clients: done")
