package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/redkeep/redkeep/commands"
	"github.com/redkeep/redkeep/resp"
)

// sentinel is the listener for clients of Redis Sentinel, with a server and a dispatcher of its own. All are
// nil without --sentinel-addr.
type sentinel struct {
	port       net.Listener
	server     *resp.Server
	dispatcher *commands.Dispatcher
	password   string       // of the default user, as on the client port
	audit      *slog.Logger // the client port's
}

// listenSentinel opens the port and settles the address that others are told.
func (n *node) listenSentinel() (err error) {
	s := &n.settings
	if s.sentinelAddr == "" {
		s.advertiseSentinel = ""
		return nil
	}
	if n.sentinel.port, err = listenOn("sentinel-addr", s.sentinelAddr); err != nil {
		return err
	}
	s.advertiseSentinel = n.advertised(s.advertiseSentinel, n.sentinel.port)
	return nil
}

// serveSentinel starts to accept. It answers without a quorum, as far as this node knows.
func (n *node) serveSentinel() error {
	s, l := &n.settings, n.sentinel.port
	if l == nil {
		return nil
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	number, _ := strconv.Atoi(port)
	n.sentinel.dispatcher = commands.New(commands.Config{
		Engine: n.engine, Logger: n.log, Version: version, ClientPort: number, MaxClients: int(s.maxClients),
		MaxRequestBytes: s.maxRequestBytes, ConfigFile: s.configFile, Clock: wallClock,
		DefaultPassword: n.sentinel.password, Audit: n.sentinel.audit,
		Sentinel: &commands.SentinelConfig{Name: s.clusterName},
	})
	n.sentinel.server = resp.NewServer(resp.Config{
		Handler: n.sentinel.dispatcher, MaxClients: int(s.maxClients), MaxRequestBytes: 64 << 10, Logger: n.log,
		MaxClientsPerAddr: int(s.clientsPerAddr), Admit: n.admit,
		AuthRequired: n.sentinel.dispatcher.PasswordNeeded,
	})
	n.sentinel.dispatcher.Attach(n.sentinel.server)
	n.log.Info("listening for clients of Sentinel", "addr", l.Addr().String())
	n.serving.Go(func() {
		if err := n.sentinel.server.Serve(l); err != nil {
			n.fail(fmt.Errorf("sentinel listener: %w", err))
		}
	})
	return nil
}

// close ends what exists. REQUIRES: the engine still runs.
func (s *sentinel) close(ctx context.Context) (failed []error) {
	switch {
	case s.server != nil:
		return append(failed, s.server.Close(ctx), s.dispatcher.Close(ctx))
	case s.port != nil:
		return append(failed, s.port.Close())
	}
	return nil
}
