package agenttest

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/longshore/longshore/agent/runtime"
)

// Fixture is an engine under test and what it has been given.
type Fixture struct {
	Runtime runtime.Runtime
	Images  Images
	// HealthCheck finds a container of Images.Serve or IgnoreStop healthy once it
	// deals with signals, and soon.
	HealthCheck runtime.HealthCheck
	// RemoveNetwork and RemoveImage undo what a test of the suite made; agents
	// never do that.
	RemoveNetwork func(t testing.TB, name string)
	RemoveImage   func(t testing.TB, ref string)
}

// Images are the references of images that the engine has, by what their
// containers do.
type Images struct {
	Serve      string // runs, and ends with 0 on the stop signal
	IgnoreStop string // runs until it is killed
	Exit0      string // ends at once with 0
	Exit3      string // ends at once with 3
	NoCommand  string // cannot be started
	// Spare gives the engine one more image, for a test to remove, and returns its
	// reference.
	Spare   func(t testing.TB) string
	Missing string // neither the engine nor a registry has this one
}

// RunConformance checks that an engine keeps every promise of runtime.Runtime.
// newRuntime is called once per test. The tests run side by side, and remove
// what they made.
func RunConformance(t *testing.T, newRuntime func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*conformance){
		"Info_DescribesEngineAndHost":                  infoDescribesHost,
		"Image_FoundByReferenceAndByID":                imageFound,
		"Image_MissingIsNotFound":                      imageMissing,
		"Pull_MissingImageSaysWhatIsMissing":           pullMissing,
		"Images_AreListedWithTheirUse":                 imagesListed,
		"Images_InUseAreNotRemoved":                    imagesInUse,
		"Images_AreRemovedWithTheirLastName":           imagesRemoved,
		"Create_MissingImageIsNotFound":                createMissingImage,
		"Create_AgainGivesTheSameContainer":            createAgain,
		"Create_AgainGivesTheSameContainerAfterItsEnd": createAgainAfterEnd,
		"Create_OtherHashUnderTheNameIsConflict":       createConflict,
		"Create_AtOnceGivesOneContainer":               createAtOnce,
		"Create_InNetworkOfMissingContainerFails":      createInMissingNetwork,
		"Start_RunsAndShowsIt":                         startRuns,
		"Start_OfRunningDoesNothing":                   startRunning,
		"Start_OfExitedDoesNothing":                    startExited,
		"Start_AtOnceStartsOnce":                       startAtOnce,
		"Start_FailureIsExitedWithItsReasonForEver":    startFailure,
		"Start_UnknownIsNotFound":                      startUnknown,
		"Start_KernelParameterOfNoNamespaceFails":      startSysctlRefused,
		"Create_TakesEveryField":                       createEveryField,
		"Create_RefusesWhatCannotBe":                   createRefused,
		"Network_DisabledHasNoAddress":                 networkDisabled,
		"Restart_RunsTheContainerAgain":                restartRunsAgain,
		"Restart_IsToldOfByWatch":                      restartIsToldOfByWatch,
		"Restart_OfAnotherRunDoesNothing":              restartOnlyThatRun,
		"Restart_AtOnceRestartsOnce":                   restartAtOnce,
		"Restart_UnknownIsNotFound":                    restartUnknown,
		"Restart_GivesPortsAndAddress":                 restartGivesPorts,
		"Exit_CodesAreReported":                        exitCodes,
		"Stop_LetsTheProgramEndByItself":               stopGraceful,
		"Stop_KillsAfterGrace":                         stopKills,
		"Stop_WithoutGraceKillsAtOnce":                 stopWithoutGrace,
		"Stop_OfNotRunningIsNoError":                   stopNotRunning,
		"Stop_TwiceAtOnceIsNoError":                    stopAtOnce,
		"Stop_GoesOnWhenItsCallerGivesUp":              stopAbandoned,
		"Remove_OfRunningCreatedAndUnknown":            removeAny,
		"Remove_AtOnceIsNoError":                       removeAtOnce,
		"Remove_FreesTheName":                          removeFreesName,
		"Inspect_UnknownIsNotFound":                    inspectUnknown,
		"Inspect_ShowsWhatWasAskedFor":                 inspectShowsSpec,
		"Inspect_ShowsHealth":                          inspectHealth,
		"Stats_OfRunningCountUp":                       statsCount,
		"Stats_UnknownIsNotFound":                      statsUnknown,
		"List_ByLabelsInEveryState":                    listByLabels,
		"List_ShowsWhatInspectShows":                   listLikeInspect,
		"Watch_TellsOfStartEndAndRemoval":              watchTells,
		"Watch_MissesNothingAfterReady":                watchMissesNothing,
		"Watch_TellsNothingOfOtherLabels":              watchOtherLabels,
		"Watch_EndsWithItsContext":                     watchEnds,
		"Watch_SlowCallerMissesNothing":                watchSlowCaller,
		"Ports_DynamicOnesDiffer":                      portsDynamic,
		"Ports_FixedOneIsAsAskedAndFreeAfterwards":     portsFixed,
		"Ports_TakenOneFailsTheStart":                  portsTaken,
		"Ports_RangesAreConsecutive":                   portRanges,
		"Ports_TCPAndUDPAreApart":                      portsProtocols,
		"Network_SharedHasNoAddressOfItsOwn":           networkShared,
		"Network_OfNotRunningContainerFailsTheStart":   networkNotRunning,
		"Network_IsFoundByItsWholeName":                networkLookedUp,
		"Network_MadeAtOnceIsThereOnce":                networkMadeAtOnce,
		"Network_NamedGivesAnAddress":                  networkNamed,
		"Network_NamedAndMissingFailsTheStart":         networkNamedMissing,
		"Namespaces_AreShared":                         namespacesShared,
		"Namespaces_OfNotRunningFailTheStart":          namespacesOfNotRunning,
		"Import_MakesAnImageOnTheHost":                 imageImported,
		"Volume_IsFoundWithWhatItWasMadeWith":          volumeLookedUp,
		"Volumes_AreMadeOnceListedByLabelAndRemoved":   volumesLife,
		"Volumes_InUseAreNotRemoved":                   volumesInUse,
		"Context_EndedGivesItsError":                   contextEnded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newConformance(t, newRuntime(t)))
		})
	}
}

// conformance is one test of the suite: its engine, and labels of its own.
type conformance struct {
	*testing.T
	Fixture
	ctx    context.Context
	prefix string            // of every name
	labels map[string]string // of everything it makes
}

func newConformance(t *testing.T, fixture Fixture) *conformance {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	unique := strings.ToLower(rand.Text())
	c := &conformance{
		T:       t,
		Fixture: fixture,
		ctx:     ctx,
		prefix:  "conformance-" + unique + "-",
		labels:  map[string]string{"longshore.test": unique},
	}
	t.Cleanup(c.removeAll)
	return c
}

// removeAll removes what the test made. Its context has ended by then.
func (c *conformance) removeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	containers, err := c.Runtime.List(ctx, c.labels)
	if err != nil {
		c.Errorf("list what the test made: %v", err)
	}
	for _, container := range containers {
		if err := c.Runtime.Remove(ctx, container.ID); err != nil {
			c.Errorf("remove container %s: %v", container.Name, err)
		}
	}
	volumes, err := c.Runtime.ListVolumes(ctx, c.labels)
	if err != nil {
		c.Errorf("list the volumes that the test made: %v", err)
	}
	for _, volume := range volumes {
		if err := c.Runtime.RemoveVolume(ctx, volume); err != nil {
			c.Errorf("remove volume %s: %v", volume, err)
		}
	}
}

// spec describes a container of this test.
func (c *conformance) spec(name, image string) runtime.Spec {
	return runtime.Spec{Name: c.prefix + name, Image: image, Hash: "hash of " + name, Labels: maps.Clone(c.labels)}
}

func (c *conformance) create(spec runtime.Spec) string {
	c.Helper()
	id, err := c.Runtime.Create(c.ctx, spec)
	if err != nil {
		c.Fatalf("Create(%s) = %v", spec.Name, err)
	}
	return id
}

func (c *conformance) start(id string) {
	c.Helper()
	if err := c.Runtime.Start(c.ctx, id); err != nil {
		c.Fatalf("Start() = %v", err)
	}
}

// run creates and starts a container.
func (c *conformance) run(spec runtime.Spec) string {
	c.Helper()
	id := c.create(spec)
	c.start(id)
	return id
}

// runReady is run for a program that is to get a signal: it waits until the
// program has come so far that it deals with them.
func (c *conformance) runReady(spec runtime.Spec) string {
	c.Helper()
	spec.HealthCheck = &c.HealthCheck
	id := c.run(spec)
	c.await(id, "healthy", func(seen runtime.Container) bool { return seen.Health == "healthy" })
	return id
}

func (c *conformance) remove(id string) {
	c.Helper()
	if err := c.Runtime.Remove(c.ctx, id); err != nil {
		c.Fatalf("Remove() = %v", err)
	}
}

func (c *conformance) inspect(id string) runtime.Container {
	c.Helper()
	found, err := c.Runtime.Inspect(c.ctx, id)
	if err != nil {
		c.Fatalf("Inspect() = %v", err)
	}
	return found
}

// await looks at a container whenever Watch tells that it changed, until cond
// is true of it: a Watch that misses something makes the test fail.
func (c *conformance) await(id, what string, cond func(runtime.Container) bool) runtime.Container {
	c.Helper()
	ctx, enough := context.WithCancel(c.ctx)
	defer enough()
	var last runtime.Container
	var failure error
	met := false
	look := func() {
		last, failure = c.Runtime.Inspect(c.ctx, id)
		met = failure == nil && cond(last)
		if met || failure != nil {
			enough()
		}
	}
	err := c.Runtime.Watch(ctx, c.labels, look, func(changed string, _ map[string]string) {
		if changed == id && !met {
			look()
		}
	})
	if !met {
		c.Fatalf("container is not %s: last seen %+v; Inspect: %v, Watch: %v", what, last, failure, err)
	}
	return last
}

func (c *conformance) awaitExited(id string) runtime.Container {
	c.Helper()
	return c.await(id, "exited", func(seen runtime.Container) bool { return seen.State == runtime.Exited })
}

func (c *conformance) awaitGone(id string) {
	c.Helper()
	ctx, enough := context.WithCancel(c.ctx)
	defer enough()
	var last error
	look := func() {
		if _, last = c.Runtime.Inspect(c.ctx, id); errors.Is(last, runtime.ErrNotFound) {
			enough()
		}
	}
	err := c.Runtime.Watch(ctx, c.labels, look, func(string, map[string]string) { look() })
	if !errors.Is(last, runtime.ErrNotFound) {
		c.Fatalf("container is still there: Inspect: %v, Watch: %v", last, err)
	}
}

// wantRefusal checks that err is the engine's own, fit to be shown.
func (c *conformance) wantRefusal(what string, err error) {
	c.Helper()
	switch {
	case err == nil:
		c.Fatalf("%s = nil, want an error", what)
	case errors.Is(err, runtime.ErrUnavailable):
		c.Fatalf("%s = %v, want a refusal", what, err)
	case strings.Contains(err.Error(), "Error response from"):
		c.Fatalf("%s = %q, want it without the client's noise", what, err)
	}
}
