package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redkeep/redkeep/resp"
)

// binary is the real program, built once for the tests that start it as a process.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "redkeep-cmd")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "redkeep")
	if fuzzing := flag.Lookup("test.fuzz").Value.String() != ""; !fuzzing { // its workers come here, too
		build := exec.Command("go", "build", "-pgo=off", "-o", binary, ".")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Printf("go build: %v\n%s", err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	// Both end within a second after they were closed.
	buntdb := goleak.IgnoreAnyFunction("github.com/tidwall/buntdb.(*DB).backgroundManager")
	dials := goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
	if err := goleak.Find(buntdb, dials); err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// do runs one command line in this process.
func do(environ []string, stdin string, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, streams{in: strings.NewReader(stdin), out: &out, err: &err}, environ)
	return out.String(), err.String(), code
}

// fakeNode answers every command line from a script and remembers what it was asked.
type fakeNode struct {
	addr   string
	asked  chan string
	answer func(line string) resp.Value
}

// startFakeNode serves until the test ends.
func startFakeNode(t *testing.T, answer func(line string) resp.Value) *fakeNode {
	t.Helper()
	f := &fakeNode{answer: answer, asked: make(chan string, 1000)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	server := resp.NewServer(resp.Config{Handler: f})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Close(ctx)
		<-served
	})
	return f
}

func (f *fakeNode) ServePipeline(c *resp.Conn, cmds []resp.Command) {
	for _, cmd := range cmds {
		words := make([]string, len(cmd.Args))
		for i, a := range cmd.Args {
			words[i] = string(a)
		}
		line := strings.Join(words, " ")
		if words[0] == "hello" {
			c.Reply(resp.Err("ERR unknown command 'hello'"))
			continue
		}
		select {
		case f.asked <- line:
		default:
		}
		c.Reply(f.answer(line))
	}
}

func (f *fakeNode) Closed(*resp.Conn) {}

// takeAsked returns what was asked since the last call.
func (f *fakeNode) takeAsked() (lines []string) {
	for {
		select {
		case line := <-f.asked:
			lines = append(lines, line)
		default:
			return lines
		}
	}
}
