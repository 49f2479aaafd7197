package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

// settings are the values of one `redkeep server`, parsed and within their ranges.
type settings struct {
	configFile                      string
	name, dataDir                   string
	clientAddr, peerAddr, httpAddr  string
	advertiseClient, advertisePeer  string
	initialCluster                  []cluster.Peer
	join                            []string
	joinAsLearner                   bool
	replace                         string
	announcePeer                    bool // advertisePeer is not taken from initialCluster
	logStore, logFormat             string
	logLevel                        slog.Level
	requestTimeout, historyAge      time.Duration
	scriptTimeout                   time.Duration
	heartbeatInterval, electionTime time.Duration
	lockTTL                         time.Duration
	maxRequestBytes, quotaBytes     int64
	historyBytes, snapshotBytes     int64
	diskReserveBytes, maxClients    int64
	maxTxnOps                       int64
	watchBufferBytes, trackingKeys  int64
	notifyEvents                    string
	tls                             tlsSettings
	slowerThan, slowLogLength       int64
	latencyThreshold                int64
	clusterProtocol                 bool
	clusterName                     string
	sentinelAddr, advertiseSentinel string
	protected                       bool
	defaultPasswordFile, auditFile  string
	resetAdminFile, certificateUser string
	clientsPerAddr                  int64
	pushLimits                      resp.OutputLimits
}

// option is one row of the table below: a setting of the server under its only name. The flag is --name, the
// environment variable REDKEEP_NAME, the file key name.
type option struct {
	name  string
	def   string
	kind  string // what a value looks like, shown in the help
	group string
	help  string
	set   func(s *settings, value string) error // an error continues "--name value: "
}

// Groups of the help page, in order.
const (
	groupNode   = "This node"
	groupLimits = "Limits"
	groupRaft   = "Cluster and log"
	groupLog    = "Logging"
	groupUsers  = "Users and strangers"
)

// options is every setting of the server, in the order of the help page.
var options = slices.Concat(plainOptions, tlsOptions)

var plainOptions = []option{
	{"name", "default", "name", groupNode, "name of this member, as it stands in --initial-cluster",
		setName},
	{"data-dir", "./redkeep.data", "directory", groupNode,
		"where log and snapshots are kept; one process at a time",
		setText(func(s *settings) *string { return &s.dataDir })},
	{"client-addr", "127.0.0.1:6379", "address", groupNode, "where Redis clients connect; empty for TLS alone",
		setAddress(func(s *settings) *string { return &s.clientAddr }, true)},
	{"peer-addr", "", "address", groupNode, "where other members connect (default: the client port + 10000)",
		setAddress(func(s *settings) *string { return &s.peerAddr }, true)},
	{"http-addr", "127.0.0.1:8379", "address", groupNode, "/livez, /readyz and /metrics; empty for none",
		setAddress(func(s *settings) *string { return &s.httpAddr }, true)},
	{"advertise-client-addr", "", "address", groupNode, "what others tell clients (default: --client-addr)",
		setAddress(func(s *settings) *string { return &s.advertiseClient }, true)},
	{"advertise-peer-addr", "", "address", groupNode,
		"what other members dial (default: this node's entry in --initial-cluster, else --peer-addr)",
		setAddress(func(s *settings) *string { return &s.advertisePeer }, true)},
	{"initial-cluster", "", "name=address,...", groupNode,
		"first members of a new cluster and their peer addresses, the same list on each (default: this node alone)",
		setCluster},
	{"join", "", "address,...", groupNode,
		"peer addresses of members of a running cluster to join; ignored by a node that has data",
		setAddresses(func(s *settings) *[]string { return &s.join })},
	{"join-as-learner", "false", "true|false", groupNode,
		"with --join: stay a learner, which does not vote, until MEMBER.PROMOTE",
		setYes(func(s *settings) *bool { return &s.joinAsLearner })},
	{"replace", "", "name", groupNode,
		"with --join: take the place of this member, which is lost for good and is removed then", setReplace},

	{"request-timeout", "5s", "time", groupLimits, "no request waits longer for a quorum",
		setTime(func(s *settings) *time.Duration { return &s.requestTimeout }, 100*time.Millisecond,
			10*time.Minute)},
	{"script-timeout", "5s", "time", groupLimits, "no script of EVAL runs longer",
		setTime(func(s *settings) *time.Duration { return &s.scriptTimeout }, 10*time.Millisecond,
			10*time.Minute)},
	{"lock-ttl", "1m", "time", groupLimits, "how long a lock lives that names neither TTL nor LEASE",
		setTime(func(s *settings) *time.Duration { return &s.lockTTL }, 100*time.Millisecond, 365*24*time.Hour)},
	{"max-request-bytes", "8MiB", "size", groupLimits, "largest request a client may send",
		setSize(func(s *settings) *int64 { return &s.maxRequestBytes }, 64<<10, 32<<20)},
	{"max-clients", "10000", "number", groupLimits, "connections at a time",
		setNumber(func(s *settings) *int64 { return &s.maxClients }, 1, 1_000_000)},
	{"max-txn-ops", "128", "number", groupLimits,
		"guards, and commands of one branch, in a transaction with KV.TXN or TXN.IF; operations on ranges in any",
		setNumber(func(s *settings) *int64 { return &s.maxTxnOps }, 1, 1_000_000)},
	{"quota-bytes", "2GiB", "size", groupLimits, "state above which writes that grow it get OOM",
		setSize(func(s *settings) *int64 { return &s.quotaBytes }, 1<<20, 1<<40)},
	{"history-bytes", "256MiB", "size", groupLimits, "superseded records kept for reads of the past",
		setSize(func(s *settings) *int64 { return &s.historyBytes }, 1<<20, 1<<40)},
	{"history-age", "1h", "time", groupLimits, "how long they are kept",
		setTime(func(s *settings) *time.Duration { return &s.historyAge }, time.Second, 10*365*24*time.Hour)},
	{"disk-reserve-bytes", "128MiB", "size", groupLimits, "free disk below which writes get OOM; 0 for no guard",
		setSize(func(s *settings) *int64 { return &s.diskReserveBytes }, 0, 1<<40)},
	{"watch-buffer-bytes", "1MiB", "size", groupLimits,
		"events queued for one connection; beyond that it is fed from the history as it reads",
		setSize(func(s *settings) *int64 { return &s.watchBufferBytes }, 4<<10, 1<<30)},
	{"tracking-table-max-keys", "1000000", "number", groupLimits,
		"keys remembered for CLIENT TRACKING; 0 for no limit",
		setNumber(func(s *settings) *int64 { return &s.trackingKeys }, 0, 1<<31-1)},
	{"cluster-protocol", "true", "true|false", groupNode,
		"speak Redis Cluster's protocol: clients of it find the leader and follow it",
		setYes(func(s *settings) *bool { return &s.clusterProtocol })},
	{"sentinel-addr", "", "address", groupNode,
		"where clients of Redis Sentinel ask for the leader, by habit port 26379 (default: nowhere)",
		setAddress(func(s *settings) *string { return &s.sentinelAddr }, true)},
	{"advertise-sentinel-addr", "", "address", groupNode,
		"what others tell clients of Sentinel (default: --sentinel-addr)",
		setAddress(func(s *settings) *string { return &s.advertiseSentinel }, true)},
	{"cluster-name", "redkeep", "name", groupNode, "name of the master for clients of Sentinel", setClusterName},
	{"notify-keyspace-events", "", "letters", groupNode,
		"keyspace notifications of this node, as in Redis: KEA for all (default: none)", setNotify},
	{"slowlog-log-slower-than", "10000", "number", groupLog,
		"microseconds from which on a command is in SLOWLOG; 0 for every one, -1 for none",
		setNumber(func(s *settings) *int64 { return &s.slowerThan }, -1, math.MaxInt64)},
	{"slowlog-max-len", "128", "number", groupLog, "entries that SLOWLOG keeps",
		setNumber(func(s *settings) *int64 { return &s.slowLogLength }, 0, 1<<20)},
	{"latency-monitor-threshold", "0", "number", groupLog,
		"milliseconds from which on LATENCY notes an event; 0 for never",
		setNumber(func(s *settings) *int64 { return &s.latencyThreshold }, 0, math.MaxInt64)},

	{"log-store", cluster.LogStoreWAL, "wal|boltdb", groupRaft, "what holds the replicated log",
		setChoice(func(s *settings) *string { return &s.logStore }, cluster.LogStoreWAL, cluster.LogStoreBoltDB)},
	{"heartbeat-interval", "60ms", "time", groupRaft,
		"how often the leader is heard; a follower that misses ten calls an election",
		setTime(func(s *settings) *time.Duration { return &s.heartbeatInterval }, 5*time.Millisecond,
			10*time.Second)},
	{"election-timeout", "", "time", groupRaft,
		"how long a candidate waits for votes (default, and at least: ten heartbeat intervals)",
		setElectionTimeout},
	{"snapshot-bytes", "64MiB", "size", groupRaft,
		"log written since the last snapshot that calls for the next, if that is more than its size",
		setSize(func(s *settings) *int64 { return &s.snapshotBytes }, 4<<10, 1<<40)},

	{"protected-mode", "yes", "yes|no", groupUsers,
		"while the default user has no password, accept clients from this machine alone",
		setYesNo(func(s *settings) *bool { return &s.protected })},
	{"default-password-file", "", "file", groupUsers,
		"first line: password of the default user, until users are changed for the first time",
		setAnyText(func(s *settings) *string { return &s.defaultPasswordFile })},
	{"reset-admin-file", "", "file", groupUsers,
		"first line: password of the user admin, who gets all rights at this start: for who is locked out",
		setAnyText(func(s *settings) *string { return &s.resetAdminFile })},
	{"tls-auth-clients-user", "off", "off|CN|SAN", groupUsers,
		"log a client in as the user that its verified certificate names",
		setChoice(func(s *settings) *string { return &s.certificateUser }, "off", "CN", "SAN")},
	{"max-clients-per-addr", "0", "number", groupUsers, "connections at a time from one address; 0 for no limit",
		setNumber(func(s *settings) *int64 { return &s.clientsPerAddr }, 0, 1_000_000)},
	{"client-output-buffer-limit", "pubsub 32MiB 8MiB 60", "limits", groupUsers,
		"a subscriber with more queued than the first, or than the second for so many seconds, is cut",
		setOutputLimits},
	{"audit-file", "", "file", groupUsers,
		"where logins, refusals and changes of users are logged (default: on stderr, with audit=true)",
		setAnyText(func(s *settings) *string { return &s.auditFile })},

	{"log-level", "info", "debug|info|warn|error", groupLog, "least severe line to log", setLevel},
	{"log-format", "text", "text|json", groupLog, "form of the lines on stderr",
		setChoice(func(s *settings) *string { return &s.logFormat }, "text", "json")},
}

func setText(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		if v == "" {
			return fmt.Errorf("must not be empty")
		}
		*field(s) = v
		return nil
	}
}

// setName keeps names apart from the grammar of --initial-cluster.
func setName(s *settings, v string) error {
	if v == "" || len(v) > 64 || strings.ContainsAny(v, "=, \t\r\n\"") {
		return fmt.Errorf("must be 1 to 64 bytes without space, comma, quote or equals sign")
	}
	s.name = v
	return nil
}

// setClusterName keeps the name one word in Sentinel's messages.
func setClusterName(s *settings, v string) error {
	if v == "" || len(v) > 64 || strings.ContainsAny(v, ", \t\r\n\"@") {
		return fmt.Errorf("must be 1 to 64 bytes without space, comma, quote or at sign")
	}
	s.clusterName = v
	return nil
}

func setAddress(field func(*settings) *string, mayBeEmpty bool) func(*settings, string) error {
	return func(s *settings, v string) error {
		if v != "" || !mayBeEmpty {
			if err := checkAddress(v); err != nil {
				return err
			}
		}
		*field(s) = v
		return nil
	}
}

func checkAddress(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("must be host:port with a port from 0 to 65535")
	}
	return nil
}

// partError names the part of a list that is wrong, unless it is all there is: who reports names the list.
func partError(list, part, problem string) error {
	if part == list {
		return errors.New(problem)
	}
	return fmt.Errorf("%q %s", part, problem)
}

func setCluster(s *settings, v string) error {
	s.initialCluster = nil
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, addr, ok := strings.Cut(part, "=")
		if !ok || name == "" || checkAddress(addr) != nil {
			return partError(v, part, "must be name=host:port")
		}
		s.initialCluster = append(s.initialCluster, cluster.Peer{Name: name, Addr: addr})
	}
	return nil
}

func setAddresses(field func(*settings) *[]string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = nil
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			if checkAddress(part) != nil {
				return partError(v, part, "must be host:port")
			}
			*field(s) = append(*field(s), part)
		}
		return nil
	}
}

func setReplace(s *settings, v string) error {
	if v == "" {
		return nil
	}
	var other settings
	err := setName(&other, v)
	s.replace = other.name
	return err
}

func setSize(field func(*settings) *int64, low, high int64) func(*settings, string) error {
	return func(s *settings, v string) error {
		n, err := parseSize(v)
		if err == nil && (n < low || n > high) {
			err = fmt.Errorf("must be %s to %s", formatSize(low), formatSize(high))
		}
		*field(s) = n
		return err
	}
}

func setTime(field func(*settings) *time.Duration, low, high time.Duration) func(*settings, string) error {
	return func(s *settings, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < low || d > high {
			return fmt.Errorf("must be a time from %v to %v, written as 250ms, 5s, 2m or 1h30m", low, high)
		}
		*field(s) = d
		return nil
	}
}

// setElectionTimeout leaves 0 for the default, which depends on another setting: see complete.
func setElectionTimeout(s *settings, v string) error {
	if v == "" {
		return nil
	}
	return setTime(func(s *settings) *time.Duration { return &s.electionTime }, 50*time.Millisecond,
		10*time.Minute)(s, v)
}

func setNumber(field func(*settings) *int64, low, high int64) func(*settings, string) error {
	return func(s *settings, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a number from %d to %d", low, high)
		}
		*field(s) = n
		return nil
	}
}

func setChoice(field func(*settings) *string, choices ...string) func(*settings, string) error {
	return func(s *settings, v string) error {
		if !slices.Contains(choices, v) {
			return fmt.Errorf("must be one of %s", strings.Join(choices, ", "))
		}
		*field(s) = v
		return nil
	}
}

func setNotify(s *settings, v string) error {
	if _, ok := pubsub.ParseNotify(v); !ok {
		return fmt.Errorf("must be letters of Ag$lshzxeKEtmdn")
	}
	s.notifyEvents = v
	return nil
}

func setLevel(s *settings, v string) error {
	levels := []string{"debug", "info", "warn", "error"}
	if err := setChoice(func(*settings) *string { return new(string) }, levels...)(s, v); err != nil {
		return err
	}
	return s.logLevel.UnmarshalText([]byte(v))
}

// complete fills the settings whose default depends on another one and refuses combinations.
func (s *settings) complete() error {
	least := 10 * s.heartbeatInterval
	if s.electionTime == 0 {
		s.electionTime = least
	}
	if s.electionTime < least {
		return fmt.Errorf("--election-timeout %v: must be at least ten times --heartbeat-interval %v",
			s.electionTime, s.heartbeatInterval)
	}
	if err := s.completeTLS(); err != nil {
		return err
	}
	if err := s.completePeerAddr(); err != nil {
		return err
	}
	return s.completeAdvertisePeer()
}

// completePeerAddr puts the peer port where Redis Cluster has its bus: 10000 above the client port.
func (s *settings) completePeerAddr() error {
	if s.peerAddr != "" {
		return nil
	}
	host, text, _ := net.SplitHostPort(cmp.Or(s.clientAddr, s.tls.addr))
	port, _ := strconv.Atoi(text)
	if port += 10000; port > math.MaxUint16 {
		return fmt.Errorf("--peer-addr is needed: the port of --client-addr %s plus 10000 is no port",
			cmp.Or(s.clientAddr, s.tls.addr))
	}
	if text == "0" {
		port = 0
	}
	s.peerAddr = net.JoinHostPort(host, strconv.Itoa(port))
	return nil
}

// completeAdvertisePeer finds the address that others dial. One of a cluster of several must have one that
// means something on another machine.
func (s *settings) completeAdvertisePeer() error {
	s.announcePeer = true
	if s.advertisePeer != "" {
		return nil
	}
	for _, p := range s.initialCluster {
		if p.Name == s.name {
			s.advertisePeer, s.announcePeer = p.Addr, false
			return nil
		}
	}
	if len(s.initialCluster) > 0 {
		return fmt.Errorf("--name %s is not in --initial-cluster; give each node the same list and its own name",
			s.name)
	}
	if host, port, _ := net.SplitHostPort(s.peerAddr); isUnspecified(host) && port != "0" {
		s.advertisePeer = net.JoinHostPort("127.0.0.1", port)
	}
	return nil
}

// isUnspecified reports whether host means "every interface" and so cannot be dialled from elsewhere.
func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
