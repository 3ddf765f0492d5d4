package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// maxMessage bounds what is received in one message. A full Desired names all
// tasks of a host and their definitions of up to 64 KiB each.
const maxMessage = 64 << 20

// window is how many bytes may be under way to the agent.
const window = 1 << 20

// connect goes all the way once: find the leader, register if need be, and keep a
// stream open until it breaks. opened tells whether it came as far as the stream.
func (s *Session) connect(ctx context.Context) (opened bool, err error) {
	if s.leader, err = s.discover(ctx); err != nil {
		return false, err
	}
	conn, err := s.dial(s.leader)
	if err != nil {
		return false, err
	}
	defer conn.Close() // what it could report is of no use any more
	client := agentv1.NewAgentServiceClient(conn)
	if !s.registered {
		if err := s.register(ctx, client); err != nil {
			return false, err
		}
	}
	opened, err = s.converse(ctx, client)
	if unknown(err) {
		s.registered = false // the next registration finds out, and gets a new ARN if it has to
	}
	return opened, err
}

// dial makes a connection of its own each time: one that is kept would have
// its own idea of when to try again.
func (s *Session) dial(address string) (*grpc.ClientConn, error) {
	options := append([]grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		// Windows that follow the line cost the control plane a ping for nearly every message.
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
	}, s.Dial...)
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to control plane %s: %w", address, err)
	}
	return conn, nil
}

// discover asks the control planes, in random order, which of them leads.
func (s *Session) discover(ctx context.Context) (string, error) {
	addresses := slices.Clone(s.Addresses)
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	if s.leader != "" && !slices.Contains(addresses, s.leader) {
		addresses = append(addresses, s.leader)
	}
	var errs []error
	for _, address := range addresses {
		leader, err := s.ask(ctx, address)
		if err == nil {
			return leader, nil
		}
		if refused(err) {
			return s.leader, err
		}
		errs = append(errs, err)
	}
	return s.leader, errors.Join(errs...)
}

func (s *Session) ask(ctx context.Context, address string) (string, error) {
	conn, err := s.dial(address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Call)
	defer cancel()
	answer, err := agentv1.NewAgentServiceClient(conn).DiscoverPollEndpoint(ctx, &agentv1.DiscoverPollEndpointRequest{
		Cluster: s.Cluster, ContainerInstance: s.instance,
	})
	if err != nil {
		return "", fmt.Errorf("ask control plane %s for the leader: %w", address, err)
	}
	if answer.Endpoint == "" {
		return "", fmt.Errorf("control plane %s knows no leader", address)
	}
	return answer.Endpoint, nil
}

// register registers the host under the ARN that it has, or anew if it has none,
// if the control plane does not know it, or if that is what is to be done with one
// that was deregistered before this process.
func (s *Session) register(ctx context.Context, client agentv1.AgentServiceClient) error {
	request, err := s.Registration(ctx)
	if err != nil {
		return fmt.Errorf("describe the host: %w", err)
	}
	instance, err := s.registerAs(ctx, client, request, s.instance)
	if unknown(err) && s.instance != "" {
		s.Logger.Warn("the control plane does not know this container instance: registering anew", "instance", s.instance, "error", err)
		instance, err = s.registerAs(ctx, client, request, "")
	}
	if deregistered(err) && s.RegisterAnew && !s.joined {
		s.Logger.Warn("this container instance was deregistered: registering anew", "instance", s.instance)
		instance, err = s.registerAs(ctx, client, request, "")
	}
	if err != nil {
		return err
	}
	if err := s.Registered(instance); err != nil {
		return fmt.Errorf("keep the ARN of the container instance: %w", err)
	}
	s.instance, s.registered, s.joined = instance, true, true
	return nil
}

func (s *Session) registerAs(ctx context.Context, client agentv1.AgentServiceClient, request *ecs.RegisterContainerInstanceRequest, instance string) (string, error) {
	request.Cluster, request.ContainerInstanceArn = s.Cluster, instance
	input, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("encode the registration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Call)
	defer cancel()
	answer, err := client.RegisterContainerInstance(ctx, &agentv1.RegisterContainerInstanceRequest{Input: input})
	if err != nil {
		return "", fmt.Errorf("register with %s: %w", s.leader, err)
	}
	var output ecs.RegisterContainerInstanceResponse
	if err := json.Unmarshal(answer.Output, &output); err != nil {
		return "", fmt.Errorf("decode the answer to the registration: %w", err)
	}
	if output.ContainerInstance == nil || output.ContainerInstance.ContainerInstanceArn == "" {
		return "", errors.New("the answer to the registration names no container instance")
	}
	return output.ContainerInstance.ContainerInstanceArn, nil
}

// unknown tells whether the control plane says that it does not know the
// instance. No other refusal is a reason to give up one's identity, and with it
// all containers.
func unknown(err error) bool { return status.Code(err) == codes.NotFound }
