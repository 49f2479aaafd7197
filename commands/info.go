package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// INFO keeps Redis's section names, field order and line shapes: exporters and dashboards parse them, some by
// position. Fields of things that do not exist here are left out, or 0 where a dashboard reads them. What
// differs in meaning: maxmemory is the quota on counted state; the AOF is the log, which is always synced;
// the RDB is the raft snapshot; replication offsets are log indexes. Our own numbers stand in the last
// section, Raft.

var infoRows = []Command{
	{Name: "info", Arity: -1, Kind: KindAdmin, Flags: FlagLoading | FlagStale, Group: "server",
		Categories: CatDangerous, Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns information and statistics about the server.", Tips: []string{"nondeterministic_output"},
		Args: args(argString("section").opt().many()), session: info},
}

// infoSection is one section; those that are not in byDefault are shown by name and by ALL.
type infoSection struct {
	name      string
	byDefault bool
	write     func(w *infoWriter)
}

var infoSections = []infoSection{
	{"Server", true, infoServer},
	{"Clients", true, infoClients},
	{"Memory", true, infoMemory},
	{"Persistence", true, infoPersistence},
	{"Stats", true, infoStats},
	{"Replication", true, infoReplication},
	{"CPU", true, infoCPU},
	{"Modules", true, func(*infoWriter) {}},
	{"Commandstats", false, infoCommands},
	{"Errorstats", true, infoErrors},
	{"Latencystats", false, infoLatency},
	{"Cluster", true, func(w *infoWriter) { w.field("cluster_enabled", yes(w.d.cfg.ClusterProtocol).Num()) }},
	{"Keyspace", true, infoKeyspace},
	{"Raft", true, infoRaft},
	{"Alarms", true, infoAlarms},
}

func (d *Dispatcher) infoSections() []infoSection {
	if d.cfg.Sentinel != nil {
		return sentinelSections
	}
	return infoSections
}

// infoWriter gathers the text; the sections read the node through it.
type infoWriter struct {
	strings.Builder
	d      *Dispatcher
	status raftfsm.Status
	conns  resp.Stats
	usage  usage
}

func (w *infoWriter) field(name string, value any) { fmt.Fprintf(w, "%s:%v\r\n", name, value) }

// human adds a size and, as Redis does, the same for human readers.
func (w *infoWriter) human(name string, bytes int64) {
	w.field(name, bytes)
	w.field(name+"_human", humanBytes(bytes))
}

// zeros adds fields of what does not happen here, for those who read them.
func (w *infoWriter) zeros(names ...string) {
	for _, name := range names {
		w.field(name, 0)
	}
}

func info(c *call, _ *session) (resp.Value, error) {
	wanted := map[string]bool{}
	for _, word := range c.args[1:] {
		wanted[lower(string(word))] = true
	}
	all := wanted["all"] || wanted["everything"]
	usual := len(wanted) == 0 || wanted["default"]
	w := &infoWriter{d: c.d, status: c.d.engine.Status(), conns: c.d.connectionStats(), usage: currentUsage()}
	for _, s := range c.d.infoSections() {
		if !all && !(usual && s.byDefault) && !wanted[lower(s.name)] {
			continue
		}
		if w.Len() > 0 {
			w.WriteString("\r\n")
		}
		w.WriteString("# " + s.name + "\r\n")
		s.write(w)
	}
	if c.d.cfg.Sentinel != nil {
		return resp.Bulk(w.String()), nil // as Sentinel does in RESP3, too
	}
	return resp.Verbatim(w.String()), nil
}

func humanBytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f := float64(n)
	for _, unit := range "KMGT" {
		if f /= 1024; f < 1024 {
			return fmt.Sprintf("%.2f%c", f, unit)
		}
	}
	return fmt.Sprintf("%.2fP", f/1024)
}

func infoServer(w *infoWriter) {
	d := w.d
	now := d.cfg.Clock()
	uptime := int64(now.Sub(d.started).Seconds())
	w.field("redis_version", ServerVersion)
	w.field("redis_git_sha1", "00000000")
	w.field("redis_git_dirty", 0)
	w.field("redis_build_id", "redkeep")
	w.field("redis_mode", d.mode())
	w.field("os", w.usage.os)
	w.field("arch_bits", 64)
	w.field("process_id", w.usage.pid)
	w.field("run_id", d.cfg.RunID)
	w.field("tcp_port", d.cfg.ClientPort)
	w.field("server_time_usec", now.UnixMicro())
	w.field("uptime_in_seconds", uptime)
	w.field("uptime_in_days", uptime/86400)
	w.field("hz", 10)
	w.field("configured_hz", 10)
	w.field("executable", w.usage.executable)
	w.field("config_file", d.cfg.ConfigFile)
	w.field("io_threads_active", 0)
	w.field("server_name", "redkeep")
	w.field("redkeep_version", d.cfg.Version)
	w.field("redkeep_node_name", w.status.Name)
}

func infoClients(w *infoWriter) {
	w.field("connected_clients", w.conns.Current)
	w.field("cluster_connections", 0)
	w.field("maxclients", w.d.cfg.MaxClients)
	w.zeros("client_recent_max_input_buffer", "client_recent_max_output_buffer")
	w.field("blocked_clients", w.d.blocked())
	hub := w.d.hub
	w.field("tracking_clients", hub.Tracker().Clients())
	w.field("pubsub_clients", w.d.subscribers())
	w.zeros("watching_clients", "clients_in_timeout_table",
		"total_watched_keys", "total_blocking_keys")
}

// infoMemory: used_memory is the live heap, not the counted state, which stands under dataset. used_memory
// must be the first line with these letters, for redis-cli.
func infoMemory(w *infoWriter) {
	u := w.usage
	w.human("used_memory", u.heap)
	w.human("used_memory_rss", u.rss)
	w.human("used_memory_peak", max(u.rssPeak, u.heap))
	w.field("used_memory_overhead", max(u.heap-w.status.StateBytes, 0))
	w.field("used_memory_startup", 0)
	w.field("used_memory_dataset", w.status.StateBytes)
	w.human("total_system_memory", u.systemMemory)
	cached, bytes := w.d.scripts.cached()
	w.zeros("used_memory_lua", "used_memory_vm_eval")
	w.field("used_memory_scripts_eval", bytes)
	w.field("number_of_cached_scripts", cached)
	w.zeros("number_of_functions", "used_memory_functions")
	w.field("used_memory_scripts", bytes)
	w.human("maxmemory", w.d.cfg.QuotaBytes)
	w.field("maxmemory_policy", "noeviction")
	w.field("mem_fragmentation_ratio", fmt.Sprintf("%.2f", float64(u.rss)/float64(max(u.heap, 1))))
	w.field("mem_fragmentation_bytes", u.rss-u.heap)
	w.zeros("mem_not_counted_for_evict", "mem_replication_backlog", "mem_clients_slaves", "mem_clients_normal")
	w.field("mem_allocator", "go")
	w.zeros("active_defrag_running", "lazyfree_pending_objects")
}

// lastSave is when the last snapshot was taken; without one everything is in the log since the start.
func (w *infoWriter) lastSave() time.Time {
	if at := w.status.LastSnapshotTime; !at.IsZero() {
		return at
	}
	return w.d.started
}

func infoPersistence(w *infoWriter) {
	w.zeros("loading", "async_loading")
	w.field("rdb_changes_since_last_save", int64(w.status.AppliedIndex)-int64(w.status.LastSnapshotIndex))
	w.zeros("rdb_bgsave_in_progress")
	w.field("rdb_last_save_time", w.lastSave().Unix())
	w.field("rdb_last_bgsave_status", "ok")
	w.field("rdb_last_bgsave_time_sec", -1)
	w.field("rdb_current_bgsave_time_sec", -1)
	w.field("rdb_saves", w.status.Snapshots)
	w.field("aof_enabled", 1)
	w.zeros("aof_rewrite_in_progress", "aof_rewrite_scheduled")
	w.field("aof_last_rewrite_time_sec", -1)
	w.field("aof_current_rewrite_time_sec", -1)
	w.field("aof_last_bgrewrite_status", "ok")
	w.field("aof_last_write_status", "ok")
	w.field("aof_current_size", w.status.LogBytes)
	w.field("aof_delayed_fsync", 0)
}

func infoStats(w *infoWriter) {
	s, conns := w.d.stats, w.conns
	w.field("total_connections_received", conns.Received)
	w.field("total_commands_processed", s.commands.Load())
	w.field("instantaneous_ops_per_sec", s.opsRate.value.Load())
	w.field("total_net_input_bytes", conns.BytesIn)
	w.field("total_net_output_bytes", conns.BytesOut)
	w.field("instantaneous_input_kbps", fmt.Sprintf("%.2f", float64(s.inRate.value.Load())/1024))
	w.field("instantaneous_output_kbps", fmt.Sprintf("%.2f", float64(s.outRate.value.Load())/1024))
	w.field("rejected_connections", conns.Rejected)
	w.zeros("sync_full", "sync_partial_ok", "sync_partial_err")
	w.field("expired_keys", w.status.ExpiredKeys)
	w.zeros("evicted_keys", "evicted_clients")
	w.field("keyspace_hits", s.hits.Load())
	w.field("keyspace_misses", s.misses.Load())
	hub := w.d.hub
	w.field("pubsub_channels", len(hub.Names(pubsub.KindChannel)))
	w.field("pubsub_patterns", len(hub.Names(pubsub.KindPattern)))
	w.zeros("latest_fork_usec", "total_forks")
	w.field("tracking_total_keys", hub.Tracker().Keys())
	w.zeros("tracking_total_items", "tracking_total_prefixes", "unexpected_error_replies")
	w.field("total_error_replies", s.allErrors())
	for i, name := range [...]string{"auth", "cmd", "key", "channel"} {
		w.field("acl_access_denied_"+name, w.d.users.denials[i].Load())
	}
	w.field("protocol_errors", conns.ProtocolErrors)
}

func infoReplication(w *infoWriter) {
	st := w.status
	if st.IsLeader {
		infoLeader(w)
	} else {
		infoFollower(w)
	}
	w.field("master_failover_state", "no-failover")
	w.field("master_replid", fmt.Sprintf("%s%s%08x", st.ClusterID, st.ClusterID, 0))
	w.field("master_replid2", strings.Repeat("0", 40))
	w.field("master_repl_offset", st.AppliedIndex)
	w.field("second_repl_offset", -1)
	w.zeros("repl_backlog_active", "repl_backlog_size", "repl_backlog_first_byte_offset", "repl_backlog_histlen")
}

func infoLeader(w *infoWriter) {
	w.field("role", "master")
	t := w.d.topology()
	others := t.offered()
	w.field("connected_slaves", len(others))
	for i, m := range others {
		host, port := splitAddr(m.ClientAddr)
		fmt.Fprintf(w, "slave%d:ip=%s,port=%d,state=online,offset=%d,lag=0\r\n", i, host, port, m.Applied)
	}
}

func infoFollower(w *infoWriter) {
	host, port := splitAddr(w.status.LeaderClientAddr)
	link := "down"
	if w.status.HasLeader {
		link = "up"
	}
	w.field("role", "slave")
	w.field("master_host", host)
	w.field("master_port", port)
	w.field("master_link_status", link)
	w.field("master_last_io_seconds_ago", max(int64(w.status.LastContact.Seconds()), -1))
	w.field("master_sync_in_progress", 0)
	w.field("slave_read_repl_offset", w.status.CommitIndex)
	w.field("slave_repl_offset", w.status.AppliedIndex)
	w.field("slave_priority", 100)
	w.field("slave_read_only", 0) // writes are forwarded
	w.field("replica_announced", 1)
	w.field("connected_slaves", 0)
}

func infoCPU(w *infoWriter) {
	w.field("used_cpu_sys", fmt.Sprintf("%.6f", w.usage.cpuSystem.Seconds()))
	w.field("used_cpu_user", fmt.Sprintf("%.6f", w.usage.cpuUser.Seconds()))
	w.field("used_cpu_sys_children", "0.000000")
	w.field("used_cpu_user_children", "0.000000")
}

func infoCommands(w *infoWriter) {
	for _, row := range w.d.table.All() {
		st := row.stats.snapshot(row.Name)
		if st.Calls == 0 && st.Rejected == 0 {
			continue
		}
		micros := st.Time.Microseconds()
		fmt.Fprintf(w, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			row.Name, st.Calls, micros, float64(micros)/float64(max(st.Calls, 1)), st.Rejected, st.Failed)
	}
}

func infoErrors(w *infoWriter) {
	for i, prefix := range errorPrefixes {
		if n := w.d.stats.errors[i].Load(); n > 0 {
			fmt.Fprintf(w, "errorstat_%s:count=%d\r\n", prefix, n)
		}
	}
}

func infoLatency(w *infoWriter) {
	for _, row := range w.d.table.All() {
		if st := row.stats.snapshot(row.Name); st.Calls > 0 {
			fmt.Fprintf(w, "latency_percentiles_usec_%s:p50=%.3f,p99=%.3f,p99.9=%.3f\r\n", row.Name,
				micros(st.Percentile(50)), micros(st.Percentile(99)), micros(st.Percentile(99.9)))
		}
	}
}

func infoKeyspace(w *infoWriter) {
	if w.status.Keys > 0 {
		fmt.Fprintf(w, "db0:keys=%d,expires=%d,avg_ttl=0\r\n", w.status.Keys, w.status.Expiring)
	}
}

func infoRaft(w *infoWriter) {
	st := w.status
	w.field("raft_cluster_id", st.ClusterID)
	w.field("raft_member_id", st.MemberID)
	w.field("raft_leader_id", st.Leader)
	w.field("raft_is_leader", yes(st.IsLeader).Num())
	w.field("raft_is_learner", yes(st.IsLearner).Num())
	w.field("raft_has_leader", yes(st.HasLeader).Num())
	w.field("raft_term", st.Term)
	w.field("raft_last_index", st.LastIndex)
	w.field("raft_commit_index", st.CommitIndex)
	w.field("raft_applied_index", st.AppliedIndex)
	w.field("raft_applied_lag", max(int64(st.CommitIndex)-int64(st.AppliedIndex), 0))
	w.field("raft_log_bytes", st.LogBytes)
	w.field("raft_last_snapshot_index", st.LastSnapshotIndex)
	w.field("revision", st.Revision)
	w.field("compact_revision", st.CompactRevision)
	w.field("state_bytes", st.StateBytes)
	w.field("history_bytes", st.HistoryBytes)
	w.field("quota_bytes", w.d.cfg.QuotaBytes)
	w.field("disk_free_bytes", st.DiskFree)
}
