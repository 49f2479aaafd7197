package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"

	"github.com/prometheus/client_golang/prometheus"
)

// peerConn is a connection to or from a member, known to trust until it is closed.
type peerConn struct {
	*tls.Conn
	trust *trust
	leaf  *x509.Certificate
}

// Close ends the connection in order.
func (c *peerConn) Close() error {
	c.trust.mu.Lock()
	delete(c.trust.mu.peers, c)
	c.trust.mu.Unlock()
	return c.Conn.Close()
}

// listenWrap and dialWrap are cluster.Config's: nil when peers speak plain.
func (t *trust) listenWrap() func(net.Conn) (net.Conn, error) {
	if t.peer == nil {
		return nil
	}
	cfg := t.peer.Server(t.peerRules())
	return func(c net.Conn) (net.Conn, error) { return t.shakeHands(tls.Server(c, cfg)) }
}

func (t *trust) dialWrap() func(net.Conn, string) (net.Conn, error) {
	if t.peer == nil {
		return nil
	}
	rules := t.peerRules()
	return func(c net.Conn, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return t.shakeHands(tls.Client(c, t.peer.Dial(rules, host)))
	}
}

// shakeHands is done under the deadline that the peer port has set.
func (t *trust) shakeHands(c *tls.Conn) (net.Conn, error) {
	if err := c.Handshake(); err != nil {
		t.refused.Add(1)
		return nil, err
	}
	t.accepted.Add(1)
	p := &peerConn{Conn: c, trust: t, leaf: c.ConnectionState().PeerCertificates[0]}
	t.mu.Lock()
	t.mu.peers[p] = struct{}{}
	t.mu.Unlock()
	return p, nil
}

// cutPeers ends the connections to members whose certificate has been revoked.
func (t *trust) cutPeers() {
	t.mu.Lock()
	open := make([]*peerConn, 0, len(t.mu.peers))
	for p := range t.mu.peers {
		open = append(open, p)
	}
	t.mu.Unlock()
	for _, p := range open {
		if err := t.peer.Revoked(p.leaf); err != nil {
			t.log.Warn("peer cut", "address", p.RemoteAddr().String(), "reason", err)
			_ = p.NetConn().Close() // its users notice, and close p
		}
	}
}

// trustCollector turns the state of the certificates into metrics.
type trustCollector struct{ trust *trust }

var (
	certEndDesc = prometheus.NewDesc("redkeep_tls_certificate_expiry_timestamp_seconds",
		"When the certificate in use ends.", []string{"use"}, nil)
	certFailingDesc = prometheus.NewDesc("redkeep_tls_reload_failing",
		"1 iff the files of certificates cannot be used and older ones stay in use.", []string{"use"}, nil)
	certTroublesDesc = prometheus.NewDesc("redkeep_tls_troubles",
		"What CLUSTER.STATUS reports about certificates.", []string{"use"}, nil)
	certReloadsDesc = prometheus.NewDesc("redkeep_tls_reloads_total",
		"Changed files of certificates, by whether they were taken.", []string{"use", "result"}, nil)
	peerHandshakesDesc = prometheus.NewDesc("redkeep_tls_peer_handshakes_total",
		"TLS handshakes with members, both ways.", []string{"result"}, nil)
	clientHandshakesDesc = prometheus.NewDesc("redkeep_tls_client_handshakes_total",
		"TLS handshakes with clients: completed, failed, or cut because too many were under way.",
		[]string{"result"}, nil)
)

func newTrustCollector(t *trust) *trustCollector { return &trustCollector{t} }

// Describe implements prometheus.Collector.
func (c *trustCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{certEndDesc, certFailingDesc, certTroublesDesc, certReloadsDesc,
		peerHandshakesDesc, clientHandshakesDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *trustCollector) Collect(out chan<- prometheus.Metric) {
	t := c.trust
	for _, s := range t.stores() {
		st := s.Status()
		metric(out, certEndDesc, gauge, float64(st.NotAfter.Unix()), st.Use)
		metric(out, certFailingDesc, gauge, number(st.Failing), st.Use)
		metric(out, certTroublesDesc, gauge, float64(len(st.Troubles)), st.Use)
		metric(out, certReloadsDesc, counter, float64(st.Reloads), st.Use, "taken")
		metric(out, certReloadsDesc, counter, float64(st.Failures), st.Use, "refused")
	}
	if t.peer != nil {
		metric(out, peerHandshakesDesc, counter, float64(t.accepted.Load()), "ok")
		metric(out, peerHandshakesDesc, counter, float64(t.refused.Load()), "failed")
	}
	if server := t.server.Load(); server != nil && t.client != nil {
		st := server.Stats()
		metric(out, clientHandshakesDesc, counter, float64(st.Handshakes), "ok")
		metric(out, clientHandshakesDesc, counter, float64(st.HandshakeFailures), "failed")
		metric(out, clientHandshakesDesc, counter, float64(st.HandshakesCut), "cut")
	}
}

func metric(out chan<- prometheus.Metric, d *prometheus.Desc, kind prometheus.ValueType, v float64,
	labels ...string) {
	out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
}
