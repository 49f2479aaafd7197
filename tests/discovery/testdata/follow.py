# redis-py as a program uses it. Arguments: cluster or sentinel, the prefix of the keys, host:port... Each line of
# output tells what happened: "ack i", "read", "wrong ...", "error ...".
#
# RedisCluster of Debian's redis-py (4.3.4) cannot read the table of slots again once the master is dead, against
# Redis neither: it copies its own lock and raises RedisClusterException, from then on for each call. Programs
# that live with that version open a new client then, and so does this one.
import sys
import time

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

mode, prefix = sys.argv[1:3]
addrs = [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in sys.argv[3:])]
options = {"socket_timeout": 5, "decode_responses": True}


def tell(text):
    print(text.replace("\n", " "), flush=True)


def open_clients():
    if mode == "sentinel":
        sentinel = Sentinel(addrs, socket_timeout=5)
        return sentinel.master_for("redkeep", **options), sentinel.slave_for("redkeep", **options)
    return (RedisCluster(startup_nodes=[ClusterNode(*a) for a in addrs], **options),
            RedisCluster(startup_nodes=[ClusterNode(*a) for a in addrs], read_from_replicas=True, **options))


def step(i, main, replica):
    key, value = f"{prefix}:{i}", str(i)
    main.set(key, value)
    tell(f"ack {i}")
    got = main.get(key)
    if got != value:
        tell(f"wrong {key} is {got!r} after it was written")
    if i % 5 == 0:
        got = replica.get(key)
        if got in (None, value):
            tell("read")
        else:
            tell(f"wrong {key} is {got!r} on a replica")


i, clients = 0, None
while True:
    i += 1
    time.sleep(0.005)
    try:
        clients = clients or open_clients()
        step(i, *clients)
    except RedisClusterException as e:
        tell(f"error {type(e).__name__}: {e}")
        clients = None
    except redis.RedisError as e:
        tell(f"error {type(e).__name__}: {e}")
