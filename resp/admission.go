package resp

import (
	"net"
)

// Who may connect at all, decided before anything is read: the number of clients in all and from one address,
// and what the handler's owner says (Config.Admit).

const (
	tooMany        = "ERR max number of clients reached"
	tooManyFromOne = "ERR max number of clients from this address reached"
)

// admit counts a fresh connection, or says why it is refused.
func (s *Server) admit(from net.Addr, overTLS bool) (refusal string) {
	if s.cfg.Admit != nil {
		if refusal = s.cfg.Admit(from, overTLS); refusal != "" {
			s.mu.Lock()
			s.mu.rejected++
			s.mu.Unlock()
			return refusal
		}
	}
	host := hostOf(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cfg.MaxClients > 0 && s.mu.admitted >= s.cfg.MaxClients:
		refusal = tooMany
	case s.cfg.MaxClientsPerAddr > 0 && s.mu.byHost[host] >= s.cfg.MaxClientsPerAddr:
		refusal = tooManyFromOne
	default:
		s.mu.admitted++
		s.mu.byHost[host]++
		return ""
	}
	s.mu.rejected++
	return refusal
}

// leaveLocked takes one off.
func (s *Server) leaveLocked(from net.Addr) {
	s.mu.admitted--
	host := hostOf(from)
	if s.mu.byHost[host]--; s.mu.byHost[host] <= 0 {
		delete(s.mu.byHost, host)
	}
}

// hostOf is the address without the port; all connections that have none count together.
func hostOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return ""
}
