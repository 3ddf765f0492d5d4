package proxies

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// sniffPatience is how long a connection may take to say what it is.
const sniffPatience = 10 * time.Second

// splitter hands the connections of one listener to those that speak their
// protocol. The first bytes tell: HTTP/2, which is gRPC here, begins with "PRI";
// HTTP/1 with another method in capitals; a DNS message with its length, of which
// the first byte would have to be above 64 to be a capital, for a question of
// more than 16 KiB.
type splitter struct {
	listener        net.Listener
	grpc, http, dns *branch
}

func newSplitter(l net.Listener) *splitter {
	closed := make(chan struct{})
	var once sync.Once
	// Whoever stops accepting stops all: none of the servers ends on its own.
	end := func() { once.Do(func() { close(closed) }) }
	to := func() *branch {
		return &branch{address: l.Addr(), connections: make(chan net.Conn), closed: closed, end: end}
	}
	return &splitter{listener: l, grpc: to(), http: to(), dns: to()}
}

// run accepts until ctx ends or the listener fails.
func (s *splitter) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	closing := context.AfterFunc(ctx, func() { s.listener.Close() })
	var sorting sync.WaitGroup
	defer sorting.Wait()
	defer s.grpc.end()
	defer closing()
	defer cancel()
	for {
		connection, err := s.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				connection.Close()
			}
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("accepting proxies: %w", err)
		}
		sorting.Go(func() { s.sort(ctx, connection) })
	}
}

// sort looks at the first bytes of a connection and hands it on.
func (s *splitter) sort(ctx context.Context, connection net.Conn) {
	// A caller that says nothing must not outlive the server.
	interrupt := context.AfterFunc(ctx, func() { connection.SetReadDeadline(time.Now()) })
	defer interrupt()
	var first [3]byte
	err := connection.SetReadDeadline(time.Now().Add(sniffPatience))
	if err == nil {
		_, err = io.ReadFull(connection, first[:])
	}
	if err == nil {
		err = connection.SetReadDeadline(time.Time{})
	}
	if err != nil || ctx.Err() != nil {
		connection.Close() // it came and went, which is its right
		return
	}
	to := s.http
	switch {
	case string(first[:]) == "PRI":
		to = s.grpc
	case first[0] < 'A':
		to = s.dns
	}
	to.hand(&sniffed{Conn: connection, first: first[:]})
}

// branch is the listener of one protocol.
type branch struct {
	address     net.Addr
	connections chan net.Conn
	closed      chan struct{}
	end         func()
}

func (b *branch) hand(c net.Conn) {
	select {
	case b.connections <- c:
	case <-b.closed:
		c.Close()
	}
}

// Accept implements net.Listener.
func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.connections:
		return c, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (b *branch) Close() error {
	b.end()
	return nil
}

// Addr implements net.Listener.
func (b *branch) Addr() net.Addr { return b.address }

// sniffed is a connection some bytes of which have been read already.
type sniffed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (s *sniffed) Read(p []byte) (int, error) {
	if len(s.first) == 0 {
		return s.Conn.Read(p)
	}
	n := copy(p, s.first)
	s.first = s.first[n:]
	return n, nil
}
