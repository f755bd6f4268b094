package dev

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/tasks"
)

// changeSeed files the demo's changes as the people of the demo.
type changeSeed struct {
	w      *world
	ctx    context.Context
	people map[string]db.Actor // by e-mail address
	assets map[string]string   // ids by name
	now    time.Time
}

const (
	mara  = "mara@acme.example"
	tomas = "tomas@acme.example"
	aiko  = "aiko@acme.example"
	ben   = "ben@acme.example"
)

// seedChanges adds changes in every state that the demo can reach without waiting.
func (w *world) seedChanges(ctx context.Context, a db.Actor) error {
	s := &changeSeed{w: w, ctx: ctx, people: map[string]db.Actor{}, assets: map[string]string{}, now: w.clock.Now()}
	err := w.app.DB().InWorkspace(ctx, a, func(tx *db.Tx) error {
		people, err := w.app.Services.Members.People(ctx, tx)
		if err != nil {
			return err
		}
		for _, p := range people {
			s.people[p.Email] = db.Actor{
				WorkspaceID: a.WorkspaceID, Kind: db.ActorUser, ID: p.UserID, UserID: p.UserID, Name: p.Name, Email: p.Email, Role: string(p.Role),
				AuthMethod: "dev", Reason: "demo data", SessionID: uuid.Must(uuid.NewV7()), SignedInAt: s.now,
			}
		}
		list, err := w.app.Services.Assets.Find(ctx, tx, "", 200)
		for _, b := range list {
			s.assets[b.Name] = b.ID.String()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read people and assets of the demo: %w", err)
	}
	for _, step := range []func() error{s.template, s.done, s.emergency, s.scheduled, s.review, s.draft} {
		if err := step(); err != nil {
			return fmt.Errorf("seed changes: %w", err)
		}
	}
	return nil
}

func (s *changeSeed) service() *changes.Service { return s.w.app.Services.Changes }

// file files a change that starts in some time and takes an hour.
func (s *changeSeed) file(by, title, plan, backout string, in time.Duration, assets ...string) (changes.Change, error) {
	start := s.now.Add(in)
	end := start.Add(time.Hour)
	env, category := "prod", "maintenance"
	ids := make([]string, len(assets))
	for i, name := range assets {
		ids[i] = s.assets[name]
	}
	tags, who := []string{"demo"}, []string{mara}
	if by == mara {
		who = []string{tomas}
	}
	lead := "The window was agreed with the shop on short notice."
	return s.service().Create(s.ctx, s.people[by], changes.Edit{
		Title: &title, ImplementationPlan: &plan, BackoutPlan: &backout, Start: &start, End: &end, Environment: &env, Category: &category,
		Assets: &ids, Tags: &tags, Implementers: &who, LeadReason: &lead,
	})
}

func (s *changeSeed) move(by string, c changes.Change, a lifecycle.Action, reason string) (changes.Change, error) {
	act := changes.Act{Action: a, Reason: reason}
	if a == lifecycle.Complete {
		act.Outcome, act.Notes = changes.Successful, "All addresses answer with the new certificate."
	}
	return s.service().Move(s.ctx, s.people[by], c.Key, act)
}

// approve fills the first seat that a person may fill.
func (s *changeSeed) approve(by, kind string, id uuid.UUID, revision int64, comment string) error {
	a := s.people[by]
	var st approvals.Status
	err := s.w.app.DB().InWorkspace(s.ctx, a, func(tx *db.Tx) error {
		var err error
		st, err = s.w.app.Services.Approvals.Status(s.ctx, tx, kind, id)
		return err
	})
	if err != nil {
		return err
	}
	for _, stage := range st.Stages {
		for _, b := range stage.Blocks {
			for _, seat := range b.Seats {
				if stage.State == approvals.StageOpen && seat.Status == approvals.SeatOpen {
					_, err := s.w.app.Services.Approvals.Decide(s.ctx, a, seat.ID, approvals.Decision{Verdict: approvals.Approve, Revision: revision, Comment: comment})
					return err
				}
			}
		}
	}
	return fmt.Errorf("nobody is asked about %s", id)
}

// approved submits a change and has it approved and scheduled.
func (s *changeSeed) approved(by, approver string, c changes.Change, comment string) (changes.Change, error) {
	c, err := s.move(by, c, lifecycle.Submit, "")
	if err != nil {
		return c, err
	}
	if err := s.approve(approver, changes.SubjectChange, c.ID, c.Revision, comment); err != nil {
		return c, err
	}
	return s.move(by, c, lifecycle.Schedule, "")
}

func (s *changeSeed) template() error {
	t, err := s.service().ProposeTemplate(s.ctx, s.people[aiko], changes.NewTemplate{Name: "Restart an application server", Body: changes.TemplateBody{
		TitlePattern: "Restart {{server}}", Description: "A server that has run for long, or that was patched, is restarted. One at a time; the others carry the load.",
		Category: "maintenance", ImplementationPlan: "1. Drain **{{server}}** from the load balancer.\n2. Restart it.\n3. Wait for its health check.\n4. Put it back.",
		BackoutPlan: "Leave it drained and call the platform team.", TestPlan: "The health check is green for five minutes.", RiskCeiling: lifecycle.Low,
		AssetTypes: []string{"server", "vm"}, MaxAssets: 1, MaxMinutes: 60,
		Parameters: []changes.Parameter{{Name: "server", Label: "Server", Kind: "choice", Options: []string{"srv-app-01", "srv-app-02"}, Required: true}},
		Steps: []changes.NewStep{
			{Title: "Drain {{server}}", Minutes: 5, Verification: "No open connections.", RollbackNote: "Put it back."},
			{Title: "Restart {{server}}", Minutes: 10, Verification: "The health check is green."},
		},
		Tasks: []tasks.Draft{{Ref: "t1", Title: "Tell the shop's channel", Gate: tasks.BeforeStart}},
	}})
	if err != nil {
		return err
	}
	return s.approve(ben, changes.SubjectTemplate, t.ID, 1, "Done many times; one at a time is the point.")
}

func (s *changeSeed) done() error {
	c, err := s.file(mara, "Renew the certificate on shop.acme.example",
		"1. Issue the new certificate and stage it on both servers.\n2. Drain `srv-app-01`, reload, run the handshake check.\n3. Repeat for `srv-app-02`.",
		"The old key pair stays on disk. Going back is one reload per server.", 5*time.Minute, "shop.acme.example")
	if err != nil {
		return err
	}
	why := "The current certificate ends in two weeks, inside the year-end freeze."
	category := "security"
	if c, err = s.service().Update(s.ctx, s.people[mara], c.Key, changes.Edit{Description: &why, Category: &category}); err != nil {
		return err
	}
	if _, err := s.service().AddComment(s.ctx, s.people[aiko], c.Key, "Please keep 10 minutes between the servers so that the connection table settles. @mara"); err != nil {
		return err
	}
	if c, err = s.approved(mara, aiko, c, "Drain order looks right."); err != nil {
		return err
	}
	if c, err = s.move(tomas, c, lifecycle.Start, ""); err != nil {
		return err
	}
	_, err = s.service().AddEvidence(s.ctx, s.people[tomas], c.Key, changes.NewEvidence{Kind: "validation", Summary: "Both servers serve the new certificate, valid for 90 days."})
	if err != nil {
		return err
	}
	_, err = s.move(tomas, c, lifecycle.Complete, "")
	return err
}

func (s *changeSeed) emergency() error {
	c, err := s.file(tomas, "Restart the tunnel to the card gateway", "Restart the tunnel on `srv-app-02`.", "Fail over to the second provider.", -5*time.Minute, "Card gateway")
	if err != nil {
		return err
	}
	kind, down := "emergency", true
	if c, err = s.service().Update(s.ctx, s.people[tomas], c.Key, changes.Edit{Type: &kind, Downtime: &down, Implementers: &[]string{aiko}}); err != nil {
		return err
	}
	_, err = s.move(aiko, c, lifecycle.StartEmergency, "Card payments fail for every customer since 20 minutes.")
	return err
}

func (s *changeSeed) scheduled() error {
	c, err := s.file(mara, "Upgrade cache-01 to the current release", "1. Take a snapshot.\n2. Roll the container.\n3. Warm the cache with yesterday's keys.",
		"Roll back to the former image; the snapshot restores in two minutes.", 50*time.Hour, "cache-01")
	if err != nil {
		return err
	}
	steps := []changes.NewStep{
		{Title: "Take a snapshot of cache-01", Minutes: 5, Owner: "Platform on call", Verification: "The snapshot is listed."},
		{Title: "Roll the container", Minutes: 10, Verification: "The version endpoint answers.", RollbackNote: "Deploy the former image.", Destructive: true},
		{Title: "Warm the cache", Minutes: 20, Verification: "The hit rate is above 80 %."},
	}
	if _, err := s.service().SetSteps(s.ctx, s.people[mara], c.Key, steps, "", nil); err != nil {
		return err
	}
	if _, err := s.service().Attach(s.ctx, s.people[mara], c.Key, "rehearsal.log", bytes.NewReader([]byte("rolled staging cache\nwarm-up took 14 minutes\nhit rate 86 %\n"))); err != nil {
		return err
	}
	for _, t := range []tasks.NewTask{
		{Title: "Rehearse the upgrade on staging", ParentType: changes.SubjectChange, ParentID: c.ID, Gate: tasks.BeforeStart},
		{Title: "Tell customer service about slower search", ParentType: changes.SubjectChange, ParentID: c.ID, Gate: tasks.BeforeStart},
	} {
		made, err := s.w.app.Services.Tasks.AddTask(s.ctx, s.people[mara], t)
		if err != nil {
			return err
		}
		if t.Title[:8] == "Rehearse" {
			if _, err := s.w.app.Services.Tasks.ChangeState(s.ctx, s.people[mara], made.Key, tasks.Done, ""); err != nil {
				return err
			}
		}
	}
	if _, err := s.service().AddLink(s.ctx, s.people[mara], c.Key, changes.NewLink{Kind: "url", Target: "https://git.example.com/platform/cache/releases", Title: "Release notes"}); err != nil {
		return err
	}
	_, err = s.approved(mara, ben, c, "The rehearsal went well.")
	return err
}

func (s *changeSeed) review() error {
	c, err := s.file(mara, "Move Orders API to the new connection pool", "1. Deploy with the pool behind a flag.\n2. Turn the flag on for one replica.\n3. Watch for 15 minutes, then turn it on everywhere.",
		"Turn the flag off.", 74*time.Hour, "Orders API")
	if err != nil {
		return err
	}
	risk, test := "medium", "Error rate and p95 latency stay below those of the hour before."
	if c, err = s.service().Update(s.ctx, s.people[mara], c.Key, changes.Edit{Risk: &risk, TestPlan: &test}); err != nil {
		return err
	}
	_, err = s.move(mara, c, lifecycle.Submit, "")
	return err
}

func (s *changeSeed) draft() error {
	_, err := s.file(tomas, "Patch the nodes of k8s-prod", "Drain, patch and reboot one node after the other.", "Boot the former image.", 170*time.Hour, "k8s-prod", "srv-app-01", "srv-app-02")
	return err
}
