package store_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

// Whatever becomes of instances, and whether a transaction goes through or not,
// the index has the attributes of the registered ones, in order and no others.
func TestAttributes_AreThoseOfTheRegisteredInstances(t *testing.T) {
	s := storetest.New(t, nil)
	refusal := errors.New("no")
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(rt, "changes") {
			instance := &model.Instance{
				ID: model.InstanceID(rapid.SampledFrom([]string{"i", "j"}).Draw(rt, "id")), Cluster: "c",
				Status: rapid.SampledFrom([]string{model.StatusActive, model.StatusDraining, model.StatusInactive}).Draw(rt, "status"),
			}
			for _, name := range []string{"a", "b"} {
				if v := rapid.SampledFrom([]string{"absent", "", "x", "y"}).Draw(rt, name); v != "absent" {
					instance.Attributes = append(instance.Attributes, ecs.Attribute{Name: name, Value: &v})
				}
			}
			refused := rapid.Bool().Draw(rt, "refused")
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				tx.PutInstance(instance)
				if refused {
					return refusal
				}
				return nil
			})
			if (err != nil) != refused {
				rt.Fatal(err)
			}
		}
		view := s.View()
		var want []store.AttributeOf
		for i := range view.AllLiveInstances() {
			for _, a := range i.Attributes {
				want = append(want, store.AttributeOf{Cluster: i.Cluster, Name: a.Name, Value: *a.Value, Instance: i.ID})
			}
		}
		var got []store.AttributeOf
		for a := range view.Attributes(store.AttributeOf{Cluster: "c"}) {
			got = append(got, *a)
		}
		less := func(a, b store.AttributeOf) int {
			return slices.Compare([]string{a.Name, a.Value, string(a.Instance)}, []string{b.Name, b.Value, string(b.Instance)})
		}
		slices.SortFunc(want, less)
		if !slices.Equal(got, want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestAccountSettings_SurviveInTheNextTerm(t *testing.T) {
	etcd := storetest.Etcd(t)
	setting := &model.AccountSetting{Principal: "arn:aws:iam::123456789012:user/a/b", Name: ecs.SettingNameAwsvpcTrunking, Value: "enabled"}
	t.Run("first term", func(t *testing.T) {
		s := storetest.On(t, etcd, nil)
		if err := s.Update(t.Context(), func(tx *store.Tx) error { tx.PutAccountSetting(setting); return nil }); err != nil {
			t.Fatal(err)
		}
	})
	s := storetest.On(t, etcd, nil)
	if got, ok := s.View().AccountSetting(setting.Principal, setting.Name); !ok || *got != *setting {
		t.Errorf("got %+v", got)
	}
}
