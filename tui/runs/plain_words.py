"""What a setting does to the music, for somebody who has never trained a model: two sentences each."""

from __future__ import annotations

PLAIN_WORDS = {
    "model.base": "The model that learns from your clips; MusicGen small is made for one card. Its loss on your "
    "clips before training is the base line of every curve.",
    "data.dir": "The folder with your clips and their captions. What it does not hold, the model cannot learn.",
    "data.metadata": "The file that says which clip has which caption, and which side of the split it is on. "
    "Clips for validation must be of tracks that are not trained on.",
    "data.duration": "How much of a clip is learned from at once. Longer shows how a groove goes on, and costs "
    "memory and time.",
    "data.cache_dir": "Clips are turned into codes once and kept here for all runs. A second run on the same "
    "clips starts at once.",
    "lora.rank": "How much the model may change: small changes its taste, large lets it learn new sounds. Too "
    "large for few clips, and it learns them by heart.",
    "lora.alpha": "How loudly the change is mixed in; twice the rank is usual. If you raise the rank, raise it "
    "alike, or the change gets quieter.",
    "lora.dropout": "Hides a part of the input at random while it learns, so that it cannot rely on single "
    "details. More of it helps when the clips are few.",
    "lora.target_modules": "Which parts of the model may change: attention hears what goes with what, fc1 and "
    "fc2 shape the sound. All six is the usual choice.",
    "lora.rslora": "Keeps the strength of the change alike at any rank. Worth a try with ranks of 32 and more.",
    "lora.start_from": "Go on from what another run has learned instead of from nothing. Rank and parts must be "
    "the same as there.",
    "train.learning_rate": "How big each step of learning is. Too high and it wobbles or sounds noisy, too low "
    "and it still sounds like the base model.",
    "train.batch_size": "Clips that are heard before each step, together with accumulation. More make each step "
    "steadier and make fewer steps of an epoch.",
    "train.gradient_accumulation_steps": "How many batches go into one step: 2 x 4 and 1 x 8 are the same 8 "
    "clips and the same training. It costs no memory.",
    "train.micro_batch": "How many clips are on the card at once; it changes memory and speed, not what is "
    "learned. Auto finds what fits.",
    "train.epochs": "How often every clip is heard. More bring the style closer until it begins to repeat your "
    "clips; the valid loss shows when.",
    "train.warmup_steps": "The first steps are small, so that it does not start with a jerk. A run must be "
    "longer than that, or it never learns at full size.",
    "train.schedule": "Whether the steps get smaller towards the end. Cosine and linear land softly, constant "
    "does not.",
    "train.weight_decay": "Pulls the change back a little at each step. It seldom matters for a run this short.",
    "train.beta1": "How long the direction of earlier steps is kept. Leave it, unless you know why.",
    "train.beta2": "How long the size of earlier steps is kept. Leave it, unless you know why.",
    "train.max_grad_norm": "The largest single step that is allowed, so that one odd clip cannot throw the model "
    "off. Lower it if the curve has spikes.",
    "train.text_dropout": "Some clips are learned without their caption. Guidance needs that: it compares with "
    "and without words.",
    "train.model_dropout": "Hides parts of the base model itself while it learns. Its makers trained without.",
    "train.device": "Where it is computed. Auto takes the card where there is one.",
    "train.precision": "How exactly the card counts. fp16 is fast and safe here, bf16 needs no scale, fp32 is "
    "for doubts.",
    "train.gradient_checkpointing": "Computes parts twice to need less memory. Only for what does not fit otherwise.",
    "train.compile": "Spends a minute at the start to be faster after. Pays for long runs.",
    "train.validate_steps": "How often it is tried on clips that it does not learn from. That curve is the one "
    "to trust.",
    "train.validate_train_sample": "Also try it on clips that it does learn from. The gap between the two is "
    "what it has learned by heart.",
    "train.save_steps": "How often everything is saved, so that a lost run goes on from there. It costs a second "
    "and some disk.",
    "train.keep_checkpoints": "How many of these saves are kept. The best and the final model are kept in any case.",
    "train.logging_steps": "How often a point of the curve is written. One is right, unless the run is very long.",
    "train.early_stopping": "End when so many tries brought no better valid loss. The best model is kept either way.",
    "train.start_gate": "Refuse to train when the base model cannot hear your clips at all. Then something is "
    "wrong with model or data, and training would hide it.",
    "train.report_to": "Send the curves to another program as well. What you see here does not need it.",
    "train.seed": "The luck of a run: order, first values, dropout. Two runs that differ in nothing else show "
    "how much is luck.",
    "evaluate.prompts_file": "The words that clips are made from, eight by default. Choose what you would really "
    "type, and no caption of the training clips.",
    "evaluate.duration": "How long the clips are that you listen to. Much longer than what was learned from may drift.",
    "evaluate.guidance_scale": "How strictly a clip follows its prompt: 3 is usual. Higher is closer to the "
    "words and harsher.",
    "evaluate.top_k": "How many of the likeliest sounds may come next. Fewer is safer and duller.",
    "evaluate.top_p": "Another way to leave out unlikely sounds. Off, unless you know why.",
    "evaluate.temperature": "How much chance there is in a clip. Lower repeats itself, higher surprises and "
    "falls apart.",
    "evaluate.seed": "The noise that every clip of a prompt starts from, the same for base, best and final. So "
    "what differs is the training.",
    "evaluate.repeats": "How many clips of each prompt and model. More make a verdict surer and the listening longer.",
    "evaluate.every": "Make a clip of each prompt while it trains, every so many steps. You hear how it changes, "
    "and the run takes longer.",
    "evaluate.batch_size": "How many clips are made at once; it changes memory and speed only. Auto finds what fits.",
    "evaluate.clap_model": "A model that measures how well a clip fits its words. A hint, no ear.",
}
