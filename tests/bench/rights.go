package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// What users cost: the same cluster and the same writes, in turn by the default user, who may do everything
// and is asked for nothing, and by one whose every command and key is checked against rules.
const (
	rightsName = "SET by a user with rules, 64 clients"
	rightsKeep = 0.97
)

func measureRights(c config, ps *processes, t *table) error {
	s, err := startRedkeep(c, ps, "rights", 3)
	if err != nil {
		return err
	}
	defer ps.killAll()
	admin := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1})
	defer admin.Close()
	err = admin.Do(context.Background(), "ACL", "SETUSER", "app", "on", ">secret", "~app:*", "~key:*",
		"+@all", "-@admin", "-@dangerous").Err()
	if err != nil {
		return err
	}
	asUser := func(addr string) (conn, error) {
		r := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1, ReadTimeout: 30 * time.Second,
			Username: "app", Password: "secret"})
		return redisConn{r}, r.Ping(context.Background()).Err()
	}
	by := func(dial func(string) (conn, error)) func(uint64) (float64, error) {
		return func(seed uint64) (float64, error) {
			s.dial = dial
			return round(s, scenario{clients: 64, op: setOne}, c.round, false, seed)
		}
	}
	rates, err := inTurn(pairs, by(s.dial), by(asUser))
	if err != nil {
		return fmt.Errorf("%s: %w", rightsName, err)
	}
	t.rights = rates[1] / rates[0]
	fmt.Printf("SET/s with 64 clients: %.0f by the default user, %.0f by one with rules (%.1f %%)\n",
		rates[0], rates[1], 100*t.rights)
	return nil
}

func (t *table) rightsVerdict(add func(met bool, format string, args ...any)) {
	if t.rights > 0 {
		add(t.rights >= rightsKeep, "SET, 64 clients, by a user with rules: %.1f %% of the default user's, at "+
			"least %.0f %%", 100*t.rights, 100*rightsKeep)
	}
}
