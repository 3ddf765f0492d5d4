package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

type agentStream = grpc.BidiStreamingClient[agentv1.AgentMessage, agentv1.ControlMessage]

// stream is one open session.
type stream struct {
	*Session
	client  agentv1.AgentServiceClient
	wire    agentStream
	decoder *decoder
	silence *time.Timer  // gives the stream up when it fires
	pause   atomic.Int64 // between two heartbeats of ours, a time.Duration
	paced   chan struct{}
	full    bool // of read alone: the first Desired has come
}

// converse opens a stream and stays on it until it breaks.
func (s *Session) converse(ctx context.Context, client agentv1.AgentServiceClient) (opened bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wire, err := client.Session(ctx)
	if err != nil {
		return false, fmt.Errorf("open a session with %s: %w", s.leader, err)
	}
	st := &stream{Session: s, client: client, wire: wire, decoder: newDecoder(), paced: make(chan struct{}, 1)}
	st.pause.Store(int64(s.Timing.Heartbeat))
	st.silence = time.AfterFunc(st.patience(), func() {
		cancel(fmt.Errorf("nothing heard from %s for %v", s.leader, st.patience()))
	})
	defer st.silence.Stop()
	defer s.hangUp()
	s.outbox.begin()

	group, ctx := errgroup.WithContext(ctx)
	for _, part := range []func(context.Context) error{st.read, st.write} {
		group.Go(func() error {
			err := part(ctx)
			cancel(err) // the other part may be waiting for the wire
			return err
		})
	}
	err = group.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // says more than that the stream was cancelled
	}
	return st.full, fmt.Errorf("session with %s: %w", s.leader, err)
}

// patience is how long the control plane may be silent.
func (st *stream) patience() time.Duration {
	return max(st.Timing.Silence, 3*time.Duration(st.pause.Load()))
}

// read takes in what the control plane says.
func (st *stream) read(context.Context) error {
	for {
		message, err := st.wire.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("closed by the control plane")
		}
		if err != nil {
			return err
		}
		st.silence.Reset(st.patience())
		switch m := message.Message.(type) {
		case *agentv1.ControlMessage_Desired:
			st.acknowledged(m.Desired.Ack) // before what it says of is forgotten
			err = st.desire(m.Desired)
		case *agentv1.ControlMessage_Ack:
			st.acknowledged(m.Ack.Sequence)
		case *agentv1.ControlMessage_Names:
			if st.Names != nil {
				st.Names(namesOf(m.Names))
			}
		case *agentv1.ControlMessage_Heartbeat:
			st.acknowledged(m.Heartbeat.Ack)
			st.pace(m.Heartbeat)
		case *agentv1.ControlMessage_Welcome:
			st.pickUp(&line{client: st.client, instance: st.instance, token: m.Welcome.SessionToken})
		}
		if err != nil {
			return err
		}
	}
}

// acknowledged takes an acknowledgement; 0 is none.
func (st *stream) acknowledged(sequence uint64) {
	if sequence == 0 {
		return
	}
	for _, arn := range st.outbox.ack(sequence) {
		st.Delivered(arn)
	}
}

func (st *stream) desire(m *agentv1.Desired) error {
	if !m.Full && !st.full {
		return errors.New("the control plane sent a change before the full set")
	}
	if !st.full {
		st.full = true
		st.metrics.sessions.Inc()
		st.Logger.Info("session open", "cluster", st.Cluster, "instance", st.instance, "leader", st.leader, "tasks", len(m.Tasks))
	}
	desired := st.decoder.desired(m)
	arns := make([]string, 0, len(desired.Tasks))
	for _, t := range desired.Tasks {
		arns = append(arns, t.ARN)
	}
	if desired.Full {
		st.outbox.reset(arns)
	} else {
		st.outbox.add(arns)
		st.outbox.forget(desired.Removed)
	}
	st.Desired(desired)
	return nil
}

// pace adopts the period that the control plane asks for.
func (st *stream) pace(h *agentv1.Heartbeat) {
	asked := int64(time.Duration(h.IntervalMs) * time.Millisecond)
	if asked == 0 || st.pause.Swap(asked) == asked {
		return
	}
	st.silence.Reset(st.patience())
	select {
	case st.paced <- struct{}{}:
	default:
	}
}

// write says hello, and then sends reports, and heartbeats where there is nothing else.
func (st *stream) write(ctx context.Context) error {
	err := st.send(&agentv1.AgentMessage{Message: &agentv1.AgentMessage_Hello{
		Hello: &agentv1.Hello{ContainerInstance: st.instance, LateAcks: true},
	}})
	said := time.Now()
	rings := said.Add(time.Duration(st.pause.Load()))
	alarm := time.NewTimer(time.Until(rings))
	defer alarm.Stop()
	for err == nil {
		now := time.Now()
		report, again := st.outbox.next(now)
		beat := said.Add(time.Duration(st.pause.Load()))
		switch {
		case report != nil:
			st.metrics.reports.Add(float64(len(report.Tasks)))
			said, err = now, st.send(&agentv1.AgentMessage{Message: &agentv1.AgentMessage_Report{Report: report}})
			continue
		case !beat.After(now):
			said, err = now, st.send(&agentv1.AgentMessage{Message: &agentv1.AgentMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{}}})
			continue
		case again.IsZero() || beat.Before(again):
			again = beat
		}
		// One that rings too early is cheaper than setting it for each message.
		if rings.IsZero() || again.Before(rings) {
			rings = again
			alarm.Reset(again.Sub(now))
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-st.outbox.wake:
		case <-st.paced:
		case <-alarm.C:
			rings = time.Time{}
		}
	}
	return err
}

// send leaves it to read to find out why a stream broke: only Recv tells.
func (st *stream) send(m *agentv1.AgentMessage) error {
	if err := st.wire.Send(m); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}
