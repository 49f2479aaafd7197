package main

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/commands"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// The parts keep their own counters; /metrics reads them when it is asked. Only durations of which the
// shape matters and which nobody else keeps are observed as they happen: log sync, apply, batch size.
// Metric names are API: they are never renamed. Label values come from closed sets (the command table,
// error prefixes), never keys.

// meter holds the registry of one node and the histograms that the parts feed.
type meter struct {
	registry *prometheus.Registry
	fsync    prometheus.Histogram
	apply    prometheus.Histogram
	batch    prometheus.Histogram
	snapshot prometheus.Histogram
}

func newMeter() *meter {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	m := &meter{
		registry: prometheus.NewRegistry(),
		fsync: histogram("redkeep_wal_fsync_seconds", "Time to store and sync a group of log entries.",
			prometheus.ExponentialBuckets(0.0001, 2, 17)),
		apply: histogram("redkeep_apply_seconds", "Time to apply a group of committed log entries.",
			prometheus.ExponentialBuckets(0.00001, 2, 19)),
		batch: histogram("redkeep_batch_requests", "Requests packed into one log entry.",
			prometheus.ExponentialBuckets(1, 2, 13)),
		snapshot: histogram("redkeep_snapshot_seconds", "Time to write a snapshot.",
			prometheus.ExponentialBuckets(0.01, 2, 14)),
	}
	b := thisBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "redkeep_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "goversion": b.Go},
	})
	info.Set(1)
	m.registry.MustRegister(m.fsync, m.apply, m.batch, m.snapshot, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *meter) storeLogs(took time.Duration, _, _ int) { m.fsync.Observe(took.Seconds()) }

func (m *meter) tookSnapshot(took time.Duration, err error) {
	if err == nil {
		m.snapshot.Observe(took.Seconds())
	}
}

// watch feeds the histograms of the engine. REQUIRES: the engine has not been started.
func (m *meter) watch(s *raftfsm.Stats) {
	s.OnBatch = func(requests, _ int) { m.batch.Observe(float64(requests)) }
	s.OnApply = func(_ int, took time.Duration) { m.apply.Observe(took.Seconds()) }
}

func (m *meter) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// moment is one look at all parts; every metric of a scrape comes from the same one.
type moment struct {
	status  raftfsm.Status
	engine  *raftfsm.Stats
	hub     *pubsub.Stats
	node    cluster.Stats
	clients resp.Stats
	guards  guardReadings
}

// reading is one metric that is read from a moment.
type reading struct {
	name, help string
	kind       prometheus.ValueType
	value      func(m *moment) float64
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

var readings = []reading{
	{"redkeep_raft_has_leader", "1 iff a leader is known.", gauge,
		func(m *moment) float64 { return number(m.status.HasLeader) }},
	{"redkeep_raft_is_leader", "1 iff this node leads.", gauge,
		func(m *moment) float64 { return number(m.status.IsLeader) }},
	{"redkeep_raft_is_learner", "1 iff this node has no vote.", gauge,
		func(m *moment) float64 { return number(m.status.IsLearner) }},
	{"redkeep_raft_leader_changes_total", "Changes of leader seen by this node.", counter,
		func(m *moment) float64 { return float64(m.engine.LeaderChanges.Load()) }},
	{"redkeep_raft_term", "Current term.", gauge,
		func(m *moment) float64 { return float64(m.status.Term) }},
	{"redkeep_raft_proposals_committed_total", "Index of the last committed log entry.", counter,
		func(m *moment) float64 { return float64(m.status.CommitIndex) }},
	{"redkeep_raft_proposals_applied_total", "Index of the last applied log entry.", counter,
		func(m *moment) float64 { return float64(m.status.AppliedIndex) }},
	{"redkeep_raft_proposals_pending", "Log entries that are written here and not yet committed.", gauge,
		func(m *moment) float64 { return float64(m.status.LastIndex) - float64(m.status.CommitIndex) }},
	{"redkeep_raft_snapshot_index", "Index that the newest snapshot covers.", gauge,
		func(m *moment) float64 { return float64(m.status.LastSnapshotIndex) }},
	{"redkeep_log_bytes", "Log written since the newest snapshot.", gauge,
		func(m *moment) float64 { return float64(m.status.LogBytes) }},
	{"redkeep_log_cache_bytes", "Log entries held in memory.", gauge,
		func(m *moment) float64 { return float64(m.node.CacheBytes) }},
	{"redkeep_snapshots_total", "Snapshots taken by this process.", counter,
		func(m *moment) float64 { return float64(m.node.Snapshots) }},
	{"redkeep_snapshots_installed_total", "Snapshots received from a leader by this process.", counter,
		func(m *moment) float64 { return float64(m.node.SnapshotsInstalled) }},
	{"redkeep_fenced", "1 iff this node serves nothing because its state is in doubt.", gauge,
		func(m *moment) float64 { return number(m.guards.fenced) }},
	{"redkeep_state_compared_index", "Log index at which another member was last found to have this leader's " +
		"state.", gauge, func(m *moment) float64 { return float64(m.guards.agreed) }},
	{"redkeep_state_differences_total", "Comparisons of this leader that found another state.", counter,
		func(m *moment) float64 { return float64(m.guards.differing) }},
	{"redkeep_clock_jumps_total", "Jumps of this node's wall clock.", counter,
		func(m *moment) float64 { return float64(m.guards.jumps) }},
	{"redkeep_heartbeats_withheld_total", "Heartbeats not sent because the disk hung.", counter,
		func(m *moment) float64 { return float64(m.node.HeartbeatsWithheld) }},
	{"redkeep_log_write_running_seconds", "How long the write to the log that is under way has taken.", gauge,
		func(m *moment) float64 { return m.node.StoreRunningFor.Seconds() }},
	{"redkeep_disk_free_bytes", "Free bytes on the file system of the data directory; -1 if unknown.", gauge,
		func(m *moment) float64 { return float64(m.status.DiskFree) }},

	{"redkeep_batches_total", "Log entries sealed by this node.", counter,
		func(m *moment) float64 { return float64(m.engine.Batches.Load()) }},
	{"redkeep_batches_forwarded_total", "Batches sent to a leader elsewhere.", counter,
		func(m *moment) float64 { return float64(m.engine.Forwarded.Load()) }},
	{"redkeep_busy_total", "Submissions refused because too much was waiting.", counter,
		func(m *moment) float64 { return float64(m.engine.Busy.Load()) }},
	{"redkeep_uncertain_total", "Submissions whose outcome did not show in time.", counter,
		func(m *moment) float64 { return float64(m.engine.Uncertain.Load()) }},
	{"redkeep_barrier_rounds_total", "Read-barrier rounds.", counter,
		func(m *moment) float64 { return float64(m.engine.Rounds.Load()) }},
	{"redkeep_barrier_reads_total", "Linearizable reads that shared those rounds.", counter,
		func(m *moment) float64 { return float64(m.engine.Reads.Load()) }},

	{"redkeep_keys", "Live keys.", gauge,
		func(m *moment) float64 { return float64(m.status.Keys) }},
	{"redkeep_keys_expiring", "Live keys that have a deadline.", gauge,
		func(m *moment) float64 { return float64(m.status.Expiring) }},
	{"redkeep_keys_expired_total", "Keys whose deadline passed.", counter,
		func(m *moment) float64 { return float64(m.engine.Expired.Load()) }},
	{"redkeep_state_bytes", "Counted bytes of the live state.", gauge,
		func(m *moment) float64 { return float64(m.status.StateBytes) }},
	{"redkeep_history_bytes", "Counted bytes of superseded records.", gauge,
		func(m *moment) float64 { return float64(m.status.HistoryBytes) }},
	{"redkeep_revision", "Revision of the store.", gauge,
		func(m *moment) float64 { return float64(m.status.Revision) }},
	{"redkeep_compact_revision", "Oldest readable revision.", gauge,
		func(m *moment) float64 { return float64(m.status.CompactRevision) }},

	{"redkeep_watch_fell_behind_total", "Times a watch was too slow for live events and went on from history.",
		counter, func(m *moment) float64 { return float64(m.hub.Fell.Load()) }},
	{"redkeep_watch_canceled_total", "Watches that compaction overtook.", counter,
		func(m *moment) float64 { return float64(m.hub.Canceled.Load()) }},

	{"redkeep_connections", "Open client connections.", gauge,
		func(m *moment) float64 { return float64(m.clients.Current) }},
	{"redkeep_connections_received_total", "Client connections accepted.", counter,
		func(m *moment) float64 { return float64(m.clients.Received) }},
	{"redkeep_connections_rejected_total", "Client connections refused by --max-clients.", counter,
		func(m *moment) float64 { return float64(m.clients.Rejected) }},
	{"redkeep_client_received_bytes_total", "Bytes read from clients.", counter,
		func(m *moment) float64 { return float64(m.clients.BytesIn) }},
	{"redkeep_client_sent_bytes_total", "Bytes written to clients.", counter,
		func(m *moment) float64 { return float64(m.clients.BytesOut) }},
	{"redkeep_protocol_errors_total", "Connections ended because of malformed requests.", counter,
		func(m *moment) float64 { return float64(m.clients.ProtocolErrors) }},
}

// partsCollector turns a moment and the dispatcher's counters into metrics.
type partsCollector struct {
	look     func() moment
	commands func() commands.Stats
	limits   map[string]float64 // settings that a dashboard compares with
	descs    []*prometheus.Desc // of readings, in their order
}

var (
	commandsDesc = prometheus.NewDesc("redkeep_commands_total",
		"Commands by result: ok, error, or rejected before they were tried.", []string{"command", "result"}, nil)
	commandTimeDesc = prometheus.NewDesc("redkeep_command_seconds",
		"Time from the arrival of a command to its reply.", []string{"command"}, nil)
	errorsDesc = prometheus.NewDesc("redkeep_errors_total", "Error replies by their first word.",
		[]string{"prefix"}, nil)
	alarmDesc = prometheus.NewDesc("redkeep_alarm", "1 iff the alarm is up for the member.",
		[]string{"alarm", "member"}, nil)
	limitDesc = prometheus.NewDesc("redkeep_limit", "Configured limits.", []string{"name"}, nil)
)

func newPartsCollector(look func() moment, stats func() commands.Stats,
	limits map[string]float64) *partsCollector {
	c := &partsCollector{look: look, commands: stats, limits: limits}
	for _, r := range readings {
		c.descs = append(c.descs, prometheus.NewDesc(r.name, r.help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *partsCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
	out <- commandsDesc
	out <- commandTimeDesc
	out <- errorsDesc
	out <- limitDesc
	out <- alarmDesc
}

// Collect implements prometheus.Collector.
func (c *partsCollector) Collect(out chan<- prometheus.Metric) {
	m := c.look()
	for i, r := range readings {
		out <- prometheus.MustNewConstMetric(c.descs[i], r.kind, r.value(&m))
	}
	for _, a := range m.guards.alarms {
		out <- prometheus.MustNewConstMetric(alarmDesc, gauge, 1, a.Kind.String(), a.Member.String())
	}
	for name, v := range c.limits {
		out <- prometheus.MustNewConstMetric(limitDesc, gauge, v, name)
	}
	st := c.commands()
	for prefix, n := range st.Errors {
		out <- prometheus.MustNewConstMetric(errorsDesc, counter, float64(n), prefix)
	}
	for _, cmd := range st.PerCommand {
		collectCommand(out, cmd)
	}
}

func collectCommand(out chan<- prometheus.Metric, c commands.CommandStats) {
	results := map[string]int64{"ok": c.Calls - c.Failed, "error": c.Failed, "rejected": c.Rejected}
	for result, n := range results {
		out <- prometheus.MustNewConstMetric(commandsDesc, counter, float64(n), c.Name, result)
	}
	count, buckets := cumulate(c.Latency)
	out <- prometheus.MustNewConstHistogram(commandTimeDesc, count, c.Time.Seconds(), buckets, c.Name)
}

// cumulate folds the dispatcher's fine buckets into one per power of two microseconds, 32 µs to 8.4 s. The
// bounds of both coincide, so nothing is estimated.
func cumulate(fine []commands.LatencyBucket) (count uint64, buckets map[float64]uint64) {
	buckets = map[float64]uint64{}
	i := 0
	for bound := 32 * time.Microsecond; bound < 10*time.Second; bound *= 2 {
		for ; i < len(fine) && fine[i].UpTo <= bound; i++ {
			count += uint64(fine[i].Count)
		}
		buckets[bound.Seconds()] = count
	}
	for ; i < len(fine); i++ {
		count += uint64(fine[i].Count)
	}
	return count, buckets
}
