package commands

import (
	"slices"
	"strings"
)

// Commands of Redis that are not here, by the reason. They are unknown commands, and are told to be, in
// Redis's words, which client libraries look for; what comes after those words is for the reader. They stand
// in no table: COMMAND does not list them.

// absence is one reason and the commands that are left out for it.
type absence struct {
	reason string // ends the error's text
	why    string // for the page of commands
	names  string
}

var absences = []absence{
	{"Redkeep holds strings only",
		"A key holds one string of bytes: what a revision changes is then small, and the " +
			"same for every reader. Other data types have no place in the log's vocabulary.",
		"blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush lpushx " +
			"lrange lrem lset ltrim rpop rpoplpush rpush rpushx hdel hexists hexpire hexpireat hexpiretime " +
			"hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire " +
			"hpexpireat hpexpiretime hpttl hrandfield hscan hset hsetex hsetnx hstrlen httl hvals sadd scard " +
			"sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop " +
			"srandmember srem sscan sunion sunionstore bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff " +
			"zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin " +
			"zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex " +
			"zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore " +
			"zunion zunionstore xack xackdel xadd xautoclaim xclaim xdel xdelex xgroup xinfo xlen xpending " +
			"xrange xread xreadgroup xrevrange xsetid xtrim geoadd geodist geohash geopos georadius " +
			"georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore pfadd pfcount " +
			"pfdebug pfmerge pfselftest vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember " +
			"vrange vrem vsetattr vsim"},
	{"SORT works on lists, and Redkeep holds strings only", "They sort lists, sets and sorted sets.",
		"sort sort_ro"},
	{"there is one database, 0", "There is one database.", "move"},
	{"use DUMP and RESTORE",
		"A node does not connect to other servers on a client's word; DUMP and RESTORE move keys " +
			"both ways.", "migrate restore-asking"},
	{"membership is managed with the MEMBER commands", "Who replicates whom is the cluster's matter.",
		"replicaof slaveof sync psync replconf failover"},
	{"every acknowledged write is on disk; snapshots are taken by themselves",
		"A write is synced to a majority's " +
			"disks before it is acknowledged, and snapshots follow the growth of the log.",
		"save bgsave bgrewriteaof lastsave"},
	{"functions are not supported", "A function is code that would have to be the same on every member.",
		"function fcall fcall_ro"},
}

// absentReasons finds the reason for a command that is left out.
var absentReasons = func() map[string]string {
	out := map[string]string{}
	for _, a := range absences {
		for _, name := range strings.Fields(a.names) {
			out[name] = a.reason
		}
	}
	return out
}()

// errAbsent is the text for a command that is not in the table.
func errAbsent(args [][]byte) error {
	text := errUnknownCommand(args)
	if reason := absentReasons[lower(string(args[0][:min(len(args[0]), maxName)]))]; reason != "" {
		return clientError(text.Error() + "; " + reason)
	}
	return text
}

// left returns the names of an absence that the table has indeed not, sorted.
func (a *absence) left(t *Table) []string {
	var out []string
	for _, name := range strings.Fields(a.names) {
		if t.byName[name] == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
