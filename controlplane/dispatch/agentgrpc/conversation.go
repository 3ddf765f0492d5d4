package agentgrpc

import (
	"context"
	"time"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/names"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// conversation is one open stream.
type conversation struct {
	server  *Server
	stream  agentv1.AgentService_SessionServer
	cluster model.ClusterName
	session *dispatch.Session

	names   *names.Follower // nil: there are none to be told
	renamed <-chan struct{} // closed when there is more to tell of names

	lateAcks bool       // the agent said so in its Hello
	received chan error // why receive ended
}

// send is the only sender on the stream: what is desired, acknowledgements, and
// heartbeats where there is nothing else.
func (c *conversation) send(ctx context.Context) error {
	welcome := &agentv1.ControlMessage{Message: &agentv1.ControlMessage_Welcome{Welcome: &agentv1.Welcome{SessionToken: c.session.Token()}}}
	if err := c.stream.Send(welcome); err != nil {
		return err
	}
	quiet, err := c.beat()
	if err != nil {
		return err
	}
	told := time.Now() // something
	beatDue := time.NewTimer(quiet)
	defer beatDue.Stop()
	for {
		err := c.tellNames()
		if err != nil {
			return err
		}
		select {
		case <-c.renamed:
			continue
		case err = <-c.received:
			return err
		case <-c.session.Done():
			return c.session.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-c.session.Turn():
			d := c.session.Collect()
			switch {
			case !d.Empty() || d.Ack != 0:
				told = time.Now()
				err = c.tell(&d)
			case time.Since(told) >= quiet:
				quiet, err = c.beat()
				told = time.Now()
			}
			c.session.Told()
		case <-beatDue.C:
			// One that rings too early is cheaper than setting it for each message.
			left := quiet - time.Since(told)
			if left <= 0 {
				c.session.Ask()
				left = quiet
			}
			beatDue.Reset(left)
		}
		if err != nil {
			return err
		}
	}
}

// tell sends what is to be said in a turn.
func (c *conversation) tell(d *dispatch.Desired) error {
	switch {
	case !d.Empty():
		// Who is about to be stopped is not found any more.
		if err := c.tellNames(); err != nil {
			return err
		}
		return c.server.sendDesired(c.stream, c.cluster, d)
	case d.Ack != 0:
		c.server.metrics.acks.Inc()
		return c.stream.Send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Ack{Ack: &agentv1.Ack{Sequence: d.Ack}}})
	}
	return nil
}

// beat sends a heartbeat, which tells the agent its own pace, and returns for how long
// nothing need be said after that.
func (c *conversation) beat() (quiet time.Duration, err error) {
	pace, quiet := c.session.Pace()
	c.server.metrics.beats.Inc()
	return quiet, c.stream.Send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Heartbeat{
		Heartbeat: &agentv1.Heartbeat{IntervalMs: uint32(pace.Milliseconds()), Ack: c.session.Acknowledged()},
	}})
}

// receive takes reports; each is acknowledged once durable.
func (c *conversation) receive(ctx context.Context) error {
	for {
		m, err := c.stream.Recv()
		if err != nil {
			return err
		}
		c.session.Heard()
		report := m.GetReport()
		if report == nil {
			c.server.metrics.heard.Inc()
			continue
		}
		c.server.metrics.reports.Inc()
		if err := c.session.Report(ctx, report.GetSequence(), c.lateAcks, c.server.reports(report)); err != nil {
			return err
		}
		c.session.Heard() // that may have taken a while, with heartbeats waiting behind
	}
}
