package commands

import (
	"container/list"
	"errors"
	"sync"

	"github.com/redkeep/redkeep/script"
)

// scripts is what a node keeps of scripts: the compiled ones, by their SHA1, and the running ones. As in
// Redis the cache is a node's own and ends with it: a client that hears NOSCRIPT sends the script again.
// What was not used for longest makes room.
type scripts struct {
	slots chan struct{}     // a token for each script that may run Lua code at a time
	lanes [64]chan struct{} // a token for each; see evaluation

	mu struct {
		sync.Mutex
		byName  map[string]*list.Element
		recent  *list.List // of *script.Program, the last used first
		bytes   int
		running map[*script.Killer]bool
	}
}

const (
	// scriptCacheBytes bounds the sources in the cache; what is compiled of them takes some ten times as much.
	scriptCacheBytes = 16 << 20
	// scriptSlots bounds how many scripts run at a time, and with that their memory.
	scriptSlots = 8
)

func newScripts() *scripts {
	s := &scripts{slots: make(chan struct{}, scriptSlots)}
	for range scriptSlots {
		s.slots <- struct{}{}
	}
	for i := range s.lanes {
		s.lanes[i] = make(chan struct{}, 1)
		s.lanes[i] <- struct{}{}
	}
	s.mu.running = map[*script.Killer]bool{}
	s.flush()
	return s
}

// lookup returns the script of a name; nil iff it is not known.
func (s *scripts) lookup(sha string) *script.Program {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.mu.byName[sha]
	if e == nil {
		return nil
	}
	s.mu.recent.MoveToFront(e)
	return e.Value.(*script.Program)
}

// compiled returns a script, from the cache or compiled anew. The error is a text for the client.
func (s *scripts) compiled(source string) (*script.Program, error) {
	if p := s.lookup(script.SHA(source)); p != nil {
		return p, nil
	}
	p, err := script.Compile(source)
	var text *script.CompileError
	switch {
	case errors.As(err, &text):
		return nil, errScriptCompile(text)
	case err != nil:
		return nil, err
	}
	s.add(p)
	return p, nil
}

func (s *scripts) add(p *script.Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.byName[p.SHA] != nil {
		return
	}
	s.mu.byName[p.SHA] = s.mu.recent.PushFront(p)
	s.mu.bytes += len(p.Source)
	for s.mu.bytes > scriptCacheBytes {
		oldest := s.mu.recent.Remove(s.mu.recent.Back()).(*script.Program)
		delete(s.mu.byName, oldest.SHA)
		s.mu.bytes -= len(oldest.Source)
	}
}

func (s *scripts) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.byName, s.mu.recent, s.mu.bytes = map[string]*list.Element{}, list.New(), 0
}

// cached returns the number of known scripts and the bytes of their sources.
func (s *scripts) cached() (n, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.mu.byName)), int64(s.mu.bytes)
}

func (s *scripts) began(k *script.Killer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.running[k] = true
}

func (s *scripts) ended(k *script.Killer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.running, k)
}

// kill ends all running scripts; it returns false iff there are none.
func (s *scripts) kill() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.mu.running {
		k.Kill()
	}
	return len(s.mu.running) > 0
}
