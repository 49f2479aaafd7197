package compat

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random pipelines; 0 takes one from the clock")

// TestRandomPipelines sends random pipelines of random commands over few keys to both servers and compares
// each reply. Only commands whose reply does not depend on the clock or on an order are drawn, and no
// GETRANGE that ends before the value begins: Redis 7 gives its first byte, Redis 8 and Redkeep nothing.
func TestRandomPipelines(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with -run %s -seed %d", t.Name(), seed)
	for _, g := range targets {
		t.Run(g.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			redis, keep := startRedis(t), g.start(t)
			for round := range 60 {
				p := newPair(t, redis, keep, []string{"2", "3"}[round%2])
				for range 5 {
					n := 1 + rng.IntN(60)
					var calls [][]string
					for range n {
						calls = append(calls, randomCall(rng))
					}
					p.PipelineOf(calls)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

var randomForms = []string{
	"GET k", "SET k v", "SET k v NX", "SET k v XX", "SET k v GET", "SET k v NX GET", "SET k v XX GET",
	"SET k v KEEPTTL", "SET k v EX d",
	"SET k v PX d", "SET k v EX d NX", "SET k v EXAT 33177117420", "SET k n", "SET k n",
	"DEL k", "DEL k k k",
	"EXISTS k", "EXISTS k k", "MGET k k k", "MSET k v k v", "MSETNX k v k v", "INCR k", "DECR k", "INCRBY k n",
	"DECRBY k n",
	"APPEND k v", "APPEND k n", "STRLEN k", "TYPE k", "EXPIRE k d", "EXPIRE k d NX", "EXPIRE k d XX",
	"EXPIRE k d GT", "EXPIRE k d LT",
	"PEXPIRE k d", "EXPIREAT k 33177117420", "PEXPIREAT k 1", "EXPIRE k -1", "PERSIST k", "DBSIZE", "PING",
	"ECHO v", "FLUSHALL",
	"SETNX k v", "SETEX k d v", "PSETEX k d n", "GETSET k n", "GETDEL k", "GETEX k", "GETEX k EX d",
	"GETEX k PERSIST",
	"GETEX k PX x", "INCRBYFLOAT k n", "INCRBYFLOAT k f", "INCRBYFLOAT k f", "GETRANGE k s p", "GETRANGE k n p",
	"SETRANGE k p v", "SETRANGE k p n", "SETRANGE k n v", "LCS k k", "LCS k k IDX WITHMATCHLEN", "LCS k k LEN",
	"SETBIT k p b", "SETBIT k p b", "GETBIT k p", "BITCOUNT k", "BITCOUNT k s p BIT", "BITCOUNT k s s",
	"BITPOS k b",
	"BITPOS k b s", "BITPOS k b s s BIT", "BITOP AND k k k", "BITOP OR k k k k", "BITOP XOR k k k",
	"BITOP NOT k k",
	"BITFIELD k GET u5 p", "BITFIELD k SET i9 p n INCRBY u7 p n",
	"BITFIELD k OVERFLOW FAIL INCRBY i4 p n GET i4 p",
	"BITFIELD k OVERFLOW SAT INCRBY u20 #2 n", "BITFIELD_RO k GET i13 p", "RENAME k k", "RENAMENX k k",
	"COPY k k",
	"COPY k k REPLACE", "TOUCH k k", "UNLINK k k", "OBJECT FREQ k", "MEMORY USAGE none", "EXPIRETIME none",
	"FLUSHDB",
	"SUBSTR k s p", "COPY k k DB 7", "BITOP NOPE k k", "LPOSX k v",
	"NOPE k v", "GET", "SET k", "INCRBY k v", "SET k v EX v", "EXPIRE k v", "MSET k v k", "SELECT 0",
	"CLIENT GETNAME",
}

// randomCall fills a form: k is a key, v a value, n a number, d a far duration. FLUSHALL is made rare.
func randomCall(rng *rand.Rand) []string {
	form := randomForms[rng.IntN(len(randomForms))]
	if strings.HasPrefix(form, "FLUSH") && rng.IntN(5) > 0 {
		form = "DBSIZE"
	}
	words := strings.Fields(form)
	for i, w := range words {
		switch {
		case i == 0:
		case w == "k":
			words[i] = fmt.Sprintf("key%d", rng.IntN(6))
		case w == "v":
			words[i] = strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(40))
		case w == "n":
			words[i] = randomNumber(rng)
		case w == "f":
			words[i] = randomFloat(rng)
		case w == "p":
			words[i] = fmt.Sprint(rng.IntN(90))
		case w == "s":
			words[i] = fmt.Sprint(rng.IntN(40) - 20)
		case w == "b":
			words[i] = fmt.Sprint(rng.IntN(2))
		case w == "d":
			words[i] = fmt.Sprint(1000000 + rng.IntN(1000000000)) // never the same twice: GT and LT compare them
		}
	}
	return words
}

func randomNumber(rng *rand.Rand) string {
	if rng.IntN(4) == 0 {
		return oddNumbers[rng.IntN(len(oddNumbers))]
	}
	return fmt.Sprint(rng.Int64N(2000) - 1000)
}
